"""An input, taken from its beginning, for the targets that are written in Python; octets.pxd is the same in C."""

from __future__ import annotations

EDGES = (0, 1, 2, 3, 8, 15, 16, 17, 255, 256, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 63), (1 << 64) - 1)


class Octets:
    """An input, taken from its beginning; zeroes follow its end."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._at = octets, 0

    def __bool__(self) -> bool:
        return self._at < len(self._octets)

    def take(self, n: int) -> bytes:
        part = self._octets[self._at : self._at + n]
        self._at += n
        return part + bytes(n - len(part))

    def number(self, below: int) -> int:
        return int.from_bytes(self.take(2), "little") % below

    def edge(self) -> int:
        """A number from the edges, or a small step beside one."""
        return (EDGES[self.number(len(EDGES))] + self.number(3) - 1) % (1 << 64)
