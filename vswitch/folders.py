"""Folders that are reached step by step, so that nobody who owns one on the way can lead us elsewhere.

We are root, and whoever may write to a folder can put a symbolic link in the place of what is in it, at any moment between
one system call and the next.  So a path is walked by descriptors: each step is opened in the folder before it and looked at;
a symbolic link is followed only where nobody but root could have put it; what is done at the end is done in that descriptor.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

LINKS_MAX = 40                     # symbolic links on one way (path_resolution(7))


class NotOursError(OSError):
    """Others may write to a folder on the way."""


@contextmanager
def folder(path: str | os.PathLike[str], user: int = 0, *, makes: bool = False) -> Iterator[int]:
    """The folder `path`, as a descriptor that is closed afterwards.

    NotOursError when others than root, us and `user` may write to it or to one above it.  With `makes` what is missing is
    made, for all to look into and root to write to.
    """
    fd = _reached(Path(path).absolute(), {0, os.geteuid(), user, os.stat("/").st_uid}, user, makes)
    try:
        yield fd
    finally:
        os.close(fd)


def is_fixed(path: str | os.PathLike[str]) -> bool:
    """Whether the way to the folder `path` stays as it is: every folder above it is root's, or our own, and nobody else's to
    write to."""
    return all(_is_roots(above) for above in Path(os.path.realpath(path)).parents)


def _reached(path: Path, trusted: set[int], user: int, makes: bool) -> int:
    left = list(reversed(PurePath(path).parts[1:]))
    stack = [os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    shown = [""]
    n_links = 0
    try:
        while left:
            part = left.pop()
            if part == "..":
                if len(stack) > 1:
                    os.close(stack.pop())
                    shown.pop()
                continue
            link = _link(stack[-1], part)
            if link is None:
                stack.append(_step(stack[-1], part, makes))
                shown.append(part)
                _check(stack[-1], "/".join(shown), trusted, user)
                continue
            n_links += 1
            if n_links > LINKS_MAX or not _is_roots(stack[-1]):
                raise NotOursError(0, f"{'/'.join([*shown, part])} is a symbolic link that others than root may have put there; "
                                      "name the folder that it leads to")
            target = PurePath(link)
            if target.is_absolute():
                while len(stack) > 1:
                    os.close(stack.pop())
                    shown.pop()
            left += reversed([step for step in target.parts if step != "/"])
        return stack.pop()
    finally:
        for fd in stack:
            os.close(fd)


def _link(fd: int, part: str) -> str | None:
    """Where a symbolic link leads; None when it is none, or is not there."""
    try:
        return os.readlink(part, dir_fd=fd)
    except OSError:
        return None


def _step(fd: int, part: str, makes: bool) -> int:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(part, flags, dir_fd=fd)
    except FileNotFoundError:
        if not makes:
            raise
        try:
            os.mkdir(part, 0o755, dir_fd=fd)
        except FileExistsError:
            pass
        return os.open(part, flags, dir_fd=fd)


def _check(fd: int, shown: str, trusted: set[int], user: int) -> None:
    about = os.fstat(fd)
    is_others = about.st_uid not in trusted
    # Where the sticky bit is set, as on /tmp, others may add to it and take nothing away.
    is_open = about.st_mode & stat.S_IWOTH or (about.st_mode & stat.S_IWGRP and not _is_private(about.st_gid, user))
    if is_others or (is_open and not about.st_mode & stat.S_ISVTX):
        how = f"`chown root {shown}`" if is_others else f"`chmod go-w {shown}`"
        raise NotOursError(0, f"others may write to the folder {shown}, and could put something else in the place of what is "
                              f"made there; {how}, or name another folder")


def _is_private(group: int, user: int) -> bool:
    """Whether a group is root's, or that of one user alone (Debian's user private groups)."""
    if group == 0:
        return True
    try:
        found = pwd.getpwuid(user)
    except KeyError:
        return False
    return found.pw_gid == group and not any(other.pw_gid == group for other in pwd.getpwall() if other.pw_uid != user) and (
        not _members(group) - {found.pw_name})


def _members(group: int) -> set[str]:
    try:
        return set(grp.getgrgid(group).gr_mem)
    except KeyError:
        return set()


def _is_roots(place: int | Path) -> bool:
    about = os.stat(place)
    is_closed = not about.st_mode & (stat.S_IWOTH | stat.S_IWGRP) or (isinstance(place, Path) and about.st_mode & stat.S_ISVTX)
    return about.st_uid in (0, os.geteuid(), os.stat("/").st_uid) and bool(is_closed)
