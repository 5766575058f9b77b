"""A port of the switch on the cold side; see attached.pyx."""

from dataplane.ports.port cimport Port
from dataplane.runner cimport Runner
from dataplane.state cimport PortState


cdef class AttachedPort:
    cdef readonly dict config
    cdef readonly Port driver
    cdef PortState *state            # owned
    cdef bint is_told                # that it is down or broken: vswitchd
    cdef listen(self, int epoll_fd)
    cdef unlisten(self, int epoll_fd)
    cdef _look_into_error(self, Runner runner)
    cdef _serve_again(self, Runner runner, bint has_carrier)
