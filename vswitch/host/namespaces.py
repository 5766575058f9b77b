"""Network namespaces: what a function does, it does inside one of them.

Only the thread that runs the function goes there (setns(2)); sockets and devices that it opens keep the namespace, and
the rest of vswitchd never leaves its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vswitch.errors import HostError
from vswitch.plan.wanted import is_namespace

NETNS = Path("/run/netns")
CLONE_NEWNET = 0x40000000

Result = TypeVar("Result")
_libc = ctypes.CDLL(None, use_errno=True)


def inside(namespace: str, function: Callable[[], Result]) -> Result:
    """What `function` returns or raises when it runs in the namespace; "" is the one we are in."""
    if not namespace:
        return function()
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _enter(namespace)
            results.append(function())
        except BaseException as error:               # carried to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name=f"in {namespace}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def exists(namespace: str) -> bool:
    return not namespace or (is_namespace(namespace) and (NETNS / namespace).exists())


def _enter(namespace: str) -> None:
    if not is_namespace(namespace):
        raise HostError(f"{namespace!r} is not the name of a network namespace; `ip netns` lists those that there are")
    try:                               # what is there may be anything: a pipe would be waited for
        fd = os.open(NETNS / namespace, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise HostError(f"there is no network namespace {namespace}: {error.strerror}") from error
    try:
        if _libc.setns(fd, CLONE_NEWNET):
            number = ctypes.get_errno()
            needs = " (needs CAP_SYS_ADMIN)" if number == errno.EPERM else ""
            raise HostError(f"cannot enter network namespace {namespace}: {os.strerror(number)}{needs}")
    finally:
        os.close(fd)
