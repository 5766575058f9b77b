"""A vswitchd on "the host itself": no namespace is named, and its run directory is the usual one.

The test's own thread goes into a network namespace and a mount namespace with a /run of its own, as `unshare -mn` does, and
comes back afterwards; so the real host is never touched.  What the test starts meanwhile, vswitchd with it, is in there too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.boxed import Box
from vswitch.run_dir import USUAL

CLONE_FS, CLONE_NEWNS, CLONE_NEWNET = 0x00000200, 0x00020000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Hosted(Box):
    """A box whose namespace is the host's: this thread is in it."""

    def ip(self, *words: str) -> str:
        return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout

    def inside(self, opening: Callable[[], Any]) -> Any:
        return opening()


@contextlib.contextmanager
def private_host() -> Iterator[None]:
    """This thread, and what it starts, in a host of its own."""
    before = [(os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY), flag)
              for kind, flag in (("net", CLONE_NEWNET), ("mnt", CLONE_NEWNS))]
    folder = os.getcwd()
    try:
        _check(libc.unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare")
        for words in (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
                      ["mkdir", "/run/netns"], ["ip", "link", "set", "lo", "up"]):
            subprocess.run(words, check=True)
        yield
    finally:
        _check(libc.unshare(CLONE_FS), "unshare")     # a thread that goes back shares its folder with no other (setns(2))
        for fd, flag in before:
            _check(libc.setns(fd, flag), "setns")
            os.close(fd)
        os.chdir(folder)


@contextlib.contextmanager
def hosted() -> Iterator[Hosted]:
    with private_host():
        box = Hosted(Path(USUAL), "")
        try:
            yield box
        finally:
            box.clean_up()


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
