"""What a driver's error costs: the frame in whose place it came, or the port.

An error is about one frame, about now, or about the device.  The first two are booked and the port goes on; a device that has
gone (`error_is_devices`), or a read that fails again and again, takes the port down, and what waits for it is dropped.  The
control side hears of that by the switch's eventfd; it opens the port again when its guest or its interface comes back.

Threads: the worker.
"""

from libc.errno cimport ENETDOWN, EPROTO
from libc.stdint cimport uint16_t, uint64_t

from dataplane.frames.frame cimport PORT_NONE
from dataplane.frames.pool cimport KeptFrame, kept_release
from dataplane.ports.port cimport TxCopy, error_is_devices
from dataplane.reasons cimport DROP_PORT_DOWN, DROP_RX_ERROR, DROP_TX_ERROR
from dataplane.state cimport PORT_DOWN, PortState, SwitchState, port_reckon, port_report
from dataplane.sys.compiler cimport counter_add
from dataplane.sys.epoll cimport EPOLL_CTL_DEL, epoll_ctl, epoll_event, write
from dataplane.tables.event_ring cimport EVENT_RX_ERROR

cdef enum:                       # in a row, before a port goes down
    DEVICE_ERRORS_MAX = 3
    ERRORS_MAX = 1000            # of any other kind: each costs a system call, and frames of other ports wait


cdef inline void release_queue(SwitchState *switch, PortState *port) noexcept nogil:
    """Drop what waits for a port that goes away or down, or has another guest from now on."""
    cdef KeptFrame *kept
    while port.queue_head != NULL:
        kept = port.queue_head
        port.queue_head = kept.next
        counter_add(&port.counters.tx_drops[DROP_PORT_DOWN], 1)
        kept_release(&switch.pool, kept)
    port.n_queued = 0
    port.queued_octets = 0


cdef inline void tell_main_thread(SwitchState *switch) noexcept nogil:
    cdef uint64_t one = 1
    write(switch.event_fd, &one, sizeof(one))


cdef inline void port_go_down(SwitchState *switch, PortState *port, int error) noexcept nogil:
    """Serve the port no more, because of `error`, and no other port less."""
    cdef epoll_event event
    port.error = error
    port.state = PORT_DOWN
    port.has_carrier = 0
    port_reckon(port)
    if port.poll_fd >= 0:
        epoll_ctl(switch.epoll_fd, EPOLL_CTL_DEL, port.poll_fd, &event)
    release_queue(switch, port)
    tell_main_thread(switch)


cdef inline void count_error(SwitchState *switch, PortState *port, int error, uint16_t *n_in_a_row) noexcept nogil:
    """Take the port down if this was one error too many."""
    counter_add(&port.counters.errors, 1)
    n_in_a_row[0] += 1
    if n_in_a_row[0] >= (DEVICE_ERRORS_MAX if error_is_devices(error) else ERRORS_MAX):
        port_go_down(switch, port, error)


cdef inline void rx_failed(SwitchState *switch, PortState *port, int error) noexcept nogil:
    """Book what rx_burst answered with in the place of frames, and is not "try again"."""
    # The interface is down, or has gone for good, which the main thread finds out; no frame is meant.  Or the driver has closed
    # itself and says why; its peer may start anew, so the port stays with epoll.
    if error == ENETDOWN or error == EPROTO:
        counter_add(&port.counters.errors, 1)
        port.error = error
        tell_main_thread(switch)
        return
    counter_add(&port.counters.rx_frames, 1)
    counter_add(&port.counters.rx_packets, 1)
    counter_add(&port.counters.drops[DROP_RX_ERROR], 1)
    port_report(switch, port, EVENT_RX_ERROR, 0, PORT_NONE, <uint16_t>error & 0xFF)
    count_error(switch, port, error, &port.n_rx_errors)


cdef inline int tx_failed(SwitchState *switch, PortState *port, TxCopy *copies, int error) noexcept nogil:
    """The first of `copies` is lost to `error`; how many are dealt with."""
    count_error(switch, port, error, &port.n_tx_errors)
    copies[0].reason = DROP_TX_ERROR
    return 1
