"""What strangers send is known without asking whoever serves it, and closed where close(2) may hang."""

import os
import socket
import stat
import threading

import pytest

from dataplane.sys import files
from tests.support.waiting import eventually

KINDS = {
    "memory": lambda: [os.memfd_create("x")],
    "sealed memory": lambda: [os.memfd_create("x", os.MFD_ALLOW_SEALING)],
    "events": lambda: [os.eventfd(0)],
    "sockets": lambda: [end.detach() for end in socket.socketpair()],
    "pipes": lambda: list(os.pipe()),
    "processes": lambda: [os.pidfd_open(os.getpid())],
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_cannot_hang_is_closed_at_once(kind):
    fds = kind()
    files.close_fds(fds)
    for fd in fds:
        with pytest.raises(OSError):
            os.fstat(fd)


def test_what_may_hang_is_closed_aside_and_by_so_many_threads_at_most(monkeypatch, tmp_path):
    """A file of a file system stands for one whose server never answers: its close(2) waits here."""
    goes_on, closed, real = threading.Event(), [], os.close

    def slow(fd):
        goes_on.wait(20)
        closed.append(fd)
        real(fd)

    before = threading.active_count()
    n = files.HELPERS_MAX + 5
    (tmp_path / "x").touch()
    fds = [os.open(tmp_path / "x", os.O_RDONLY) for _ in range(n)] + [os.open("/", os.O_RDONLY)]
    if files.is_memory(fds[0]):
        fds = [os.open("/proc/self/status", os.O_RDONLY) for _ in range(n)] + fds[n:]
    monkeypatch.setattr(files.os, "close", slow)
    files.close_fds(fds)                             # comes back although none of them does
    assert not goes_on.is_set() and not closed
    assert threading.active_count() - before == files.HELPERS_MAX
    assert files.n_unclosed() == len(fds)
    monkeypatch.undo()
    goes_on.set()
    eventually(lambda: files.n_unclosed() == 0)
    for fd in fds:
        with pytest.raises(OSError):
            os.fstat(fd)


def test_kinds_are_as_the_kernel_says(tmp_path):
    fds = {"event": os.eventfd(0), "folder": os.open(tmp_path, os.O_RDONLY), "null": os.open(os.devnull, os.O_RDWR)}
    assert files.kind_of(fds["event"])[0] == 0
    assert files.kind_of(fds["folder"])[0] == stat.S_IFDIR
    assert files.kind_of(fds["null"]) == (stat.S_IFCHR, 1, 3)
    for fd in fds.values():
        os.close(fd)
    with pytest.raises(OSError):
        files.kind_of(fds["null"])
