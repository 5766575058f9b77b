"""virtio_ring.h, as far as the vhost-user driver needs it."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef extern from "<linux/virtio_ring.h>" nogil:
    struct vring_desc:
        uint64_t addr
        uint32_t len
        uint16_t flags
        uint16_t next
    enum:
        VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_DESC_F_INDIRECT
        VRING_USED_F_NO_NOTIFY
        VRING_AVAIL_F_NO_INTERRUPT
