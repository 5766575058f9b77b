"""A port of the switch on the cold side; see attached.pyx."""

from dataplane.ports.port cimport Port
from dataplane.state cimport PortState


cdef class AttachedPort:
    cdef readonly dict config
    cdef readonly Port driver
    cdef PortState *state            # owned
    cdef listen(self, int epoll_fd)
    cdef unlisten(self, int epoll_fd)
