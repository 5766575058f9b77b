"""The newc cpio archive that a guest's kernel unpacks as its root file system.

Written here and not by cpio(1), so that the same content gives the same octets: entries in order of their names,
numbered inodes, no times, everything owned by root.  Archives may follow one another in one file; a later one adds to
an earlier one (Linux, Documentation/driver-api/early-userspace/buffer-format).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import PurePosixPath

Tree = dict[str, tuple[int, bytes]]
"""path without a leading slash -> (mode with its file type, content; a link's content is its target)"""


def add_file(tree: Tree, path: str, content: bytes, mode: int = 0o644) -> None:
    tree[path] = (stat.S_IFREG | mode, content)


def add_link(tree: Tree, path: str, target: str) -> None:
    tree[path] = (stat.S_IFLNK | 0o777, target.encode())


def add_directory(tree: Tree, path: str, mode: int = 0o755) -> None:
    tree[path] = (stat.S_IFDIR | mode, b"")


def archive(tree: Tree) -> bytes:
    """`tree` as one archive; directories above its entries are added where they lack."""
    parts: list[bytes] = []
    for number, (path, mode, content) in enumerate(_with_parents(tree), start=1):
        parts += [_header(number, mode, len(content), path), _padded(content)]
    parts.append(_header(0, 0, 0, "TRAILER!!!"))
    return b"".join(parts)


def _with_parents(tree: Tree) -> Iterator[tuple[str, int, bytes]]:
    whole = dict(tree)
    for path in tree:
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                whole.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))
    for path in sorted(whole):
        yield (path, *whole[path])


def _header(inode: int, mode: int, size: int, path: str) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return _padded(header)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
