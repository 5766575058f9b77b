"""What ports are to each other; see relations.pyx."""

from dataplane.runner cimport Runner

cdef relate(Runner runner, list configs, list mirrors)
cdef share_learning(Runner runner, dict shared)
cdef learn_elsewhere(Runner runner, list ports, dict old, dict new)
