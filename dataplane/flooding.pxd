"""Who gets what is flooded; see flooding.pyx."""

from dataplane.runner cimport Runner
from dataplane.tables.flood_groups cimport FloodGroup


cdef class Flooding:
    cdef Runner runner
    cdef dict members                # VID -> set of port names
    cdef FloodGroup *build(self, list configs) except? NULL
