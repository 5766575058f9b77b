"""Driver `vhost_user`: a guest shares its memory with the switch, and frames are copied once from guest to guest.

    protocol.py       what a front-end may say: one table, one validator
    connection.py     its socket: partial messages, deadlines, a budget
    backend.py        its requests, one at a time; the record that a successor goes on with
    memory_table.py   the memory that it shares, and which files are fit for that
    address_space.py  how much of it, of all guests of one switch
    rings.py          its rings: described, started, enabled, stopped
    port.pyx          the driver: owns mappings and queues, changes them between two bursts
    device.pxd        the device as the worker sees it; guest_tx.pxd and guest_rx.pxd are its two directions
    virtqueue.pxd     the one walker of descriptors; guest_memory.pxd says what an address means, faults.py what can be wrong

Messages are parsed on the main thread, in Python; the worker reads rings and nothing else of a guest's.
"""

from dataplane.ports.vhost_user.port import VhostUserPort

__all__ = ["VhostUserPort"]
