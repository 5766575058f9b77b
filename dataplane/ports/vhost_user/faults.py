"""What can be wrong with a ring, in the order of virtqueue.pxd, each with a sentence for people."""

from __future__ import annotations

FAULTS: tuple[str, ...] = (
    "",
    "its available index runs ahead of the ring",
    "an available entry names a descriptor outside the table",
    "a descriptor chain is longer than the ring; it may be a loop",
    "a descriptor's successor lies outside the table",
    "an indirect table contains another one",
    "an indirect table that was not negotiated, or of a wrong length",
    "a descriptor is writable where the device reads, or the other way round",
    "a descriptor of no length",
    "a descriptor points outside the memory that the guest shares",
    "a window of chains has too many pieces",
    "the file behind its memory was truncated",
    "its call eventfd is full and blocks whoever writes to it",
)
