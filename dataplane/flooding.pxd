"""Who gets what is flooded; see flooding.pyx."""

from dataplane.runner cimport Runner


cdef class Members:
    cdef list seekers, others, promiscuous
    cdef lists_of(self, object place)


cdef class Flooding:
    cdef Runner runner
    cdef dict members                # VID -> Members
    cdef dict places                 # port name -> (index, whether it is a seeker, whether promiscuous), as it was entered
