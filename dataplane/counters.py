"""The layout of the counters that a data plane shares with vswitchd, which maps them read-only.

    offset 0                      header: u64 magic, layout, ports_max, reasons_max, heartbeat_ns, busy_cycles, 10 spare
    HEADER + index * RECORD       one record a port, in the order of FIELDS, then the arrays of BY_REASON

All numbers are unsigned 64-bit, in the machine's order, written by the worker alone.  They count frames and octets as the
switch saw them: rx entered the switch (the guest sent it), tx left it.  A super-frame counts as the segments that it
stands for, so that figures compare with those of a wire.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any

from dataplane.messages import PORTS_MAX
from dataplane.reasons import NAMES, REASONS_MAX

MAGIC = 0x7673_7769_7463_6831
LAYOUT = 5
HEADER = 128
FIELDS = (
    "rx_packets",      # frames received, segments counted
    "rx_bytes",        # their octets without FCS
    "rx_frames",       # frames received, super-frames counted once: these balance
    "sent",            # of the frames received here, how many left by at least one port
    "kept",            # of the frames received here, how many wait in at least one queue and left by none
    "bursts",          # rx bursts that were not empty
    "originated",      # frames that the switch itself made and sent by this port
    "rx_overrun",      # frames that the kernel dropped before we read them
    "tx_packets",
    "tx_bytes",
    "tx_frames",       # copies that left by this port, super-frames counted once
    "tx_kept",         # copies that waited in the queue of this port
    "learned",
    "moved",
    "expired",
    "errors",          # hard errors of the driver
)
BY_REASON = (
    "drops",           # frames received here that reached nobody
    "tx_drops",        # copies that this port could not take
    "monitored",       # frames that a policy set to `monitor` would have dropped
    "refused",         # of `drops`, those that another port refused
    "refused_by",      # the index of the last port that did, and 1 more; no count
)
RECORD = 8 * (len(FIELDS) + len(BY_REASON) * REASONS_MAX)
SIZE = HEADER + PORTS_MAX * RECORD


def read_port(memory: mmap.mmap | memoryview, index: int) -> dict[str, Any]:
    """The counters of the port with `index`: FIELDS, and each of BY_REASON (reason -> number, zeroes left in)."""
    if not 0 <= index < PORTS_MAX:
        raise IndexError(index)
    numbers = struct.unpack_from(f"={RECORD // 8}Q", memory, HEADER + index * RECORD)
    record: dict[str, Any] = dict(zip(FIELDS, numbers, strict=False))
    drops = numbers[len(FIELDS) :]
    for place, kind in enumerate(BY_REASON):
        record[kind] = {name: drops[place * REASONS_MAX + number] for number, name in enumerate(NAMES) if number}
    return record
