"""(Topology, observed state) -> steps, each with its why and its undo.  Pure: no I/O, no clock, no host."""
