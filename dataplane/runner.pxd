"""The control side's hold on the worker; see runner.pyx."""

from dataplane.ports.port cimport Gate
from dataplane.state cimport Command, SwitchState


cdef class Runner:
    cdef SwitchState *switch
    cdef object lock
    cdef object thread
    cdef call(self, Command command, void *argument)
    cdef serve_until_idle(self, list indices)
    cdef unsigned long spin(self, list indices, unsigned long n_rounds, unsigned long *cycles)


cdef class WorkerGate(Gate):
    cdef Runner runner
