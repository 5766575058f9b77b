"""From a port's configuration to the settings that the path reads; see settings.pyx."""

from dataplane.state cimport PortState

cdef int settings_fill(PortState *state, dict config) except -1
