"""What a port driver is: three functions over a burst.

rx_burst  fills `burst` with at most BURST_MAX frames; never blocks.  Returns how many, or the negative errno that came in the
          place of a frame.  A frame that is known to be lost is one of the burst, with its reason (`burst_lose`).
          The first 64 octets are copied into each frame's private header; the rest stays borrowed until rx_done.
tx_burst  sends copies in order; never blocks.  Returns how many were dealt with (sent, or refused for good with a reason);
          the caller keeps or drops the rest.  A negative errno is about the device (`error_is_devices`): none was taken.
rx_done   gives the borrowed buffers of `burst` back to their owner, in order.
rx_arm    of drivers that may be polled: asks for an event on `poll_fd` when something comes, and answers whether something is
          there already.  The worker calls it before it sleeps; between that and the next event there may be none.

-EPROTO says that the driver has closed itself because its peer broke a rule; `condition` has the reason for people.

Directions are the switch's: rx enters the switch.  A guest's transmit queue is our rx.
"""

from libc.errno cimport EBADF, EBADFD, ENODEV, ENOTSOCK, ENXIO
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.frames.frame cimport BURST_MAX, Burst, Frame, frame_begin

cdef struct TxCopy:
    Frame *frame                 # borrowed
    uint16_t tci                 # of the tag to put on, if `tagged`
    uint8_t tagged
    uint8_t reason               # set by tx_burst on a copy that it refused for good
    uint8_t is_mirrored          # for a mirror: says nothing about the fate of the frame

cdef struct TxBurst:
    uint32_t n
    uint32_t n_packets           # on a wire, of all copies
    uint64_t n_octets
    TxCopy copies[BURST_MAX]

ctypedef int (*RxBurst)(void *device, Burst *burst) noexcept nogil
ctypedef int (*TxBurstSend)(void *device, TxCopy *copies, uint32_t n) noexcept nogil
ctypedef void (*RxDone)(void *device, Burst *burst) noexcept nogil
ctypedef int (*RxArm)(void *device) noexcept nogil
ctypedef void (*DeviceChange)(void *argument) noexcept nogil

cdef struct PortDriver:
    RxBurst rx_burst
    TxBurstSend tx_burst
    RxDone rx_done               # NULL when nothing is to be given back
    RxArm rx_arm                 # NULL for drivers whose `poll_fd` always tells


cdef inline bint error_is_devices(int error) noexcept nogil:
    """Whether an errno says that the device, or its file descriptor, has gone; others are about one frame, or about now."""
    return error == ENODEV or error == ENXIO or error == EBADFD or error == EBADF or error == ENOTSOCK


cdef inline void burst_lose(Burst *burst, uint8_t reason) noexcept nogil:
    """Add a frame to `burst` of which nothing is known but that it came, and why it is lost."""
    cdef Frame *frame = frame_begin(burst)
    frame.length = 0
    frame.reason = reason
    burst.n += 1


cdef class Gate:
    """How a driver changes what the worker reads: between two bursts.  This one serves ports that no worker serves."""
    cdef change(self, DeviceChange change, void *argument)


cdef class Port:
    """One attached device.  Owns its file descriptors; `close` may be called twice."""
    cdef PortDriver driver
    cdef void *device            # what the three functions get
    cdef readonly list fds       # of the device, in the order they were handed over
    cdef readonly int poll_fd    # readable when rx_burst has something, or -1
    cdef Gate gate               # the switch's, once the port is attached
