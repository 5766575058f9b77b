"""Runs inside a QEMU guest: a command whose input comes while it runs, on a terminal of its own if the caller has one.

 terminal.py FIFO ROWS COLUMNS COMMAND...    with a terminal of that size; 0 0 is without, its input is a pipe

What comes by FIFO are letters with two octets of length and so many octets: `D` input, `W` rows and columns, `E` the end of
the input.  FIFO is there from the moment that it is read.  Output goes to our own, and the exit code is the command's.

Standard library only, and no module that the guest's small Python lacks.
"""

import fcntl
import os
import select
import signal
import struct
import sys

TIOCSCTTY, TIOCSWINSZ = 0x540E, 0x5414
END_OF_TRANSMISSION = b"\x04"
HEAD = struct.Struct("!cH")
SIZE = struct.Struct("!HH")


def opened(fifo: str) -> int:
    """Both ways: a writer that comes and goes is no end of file."""
    os.mkfifo(f"{fifo}.new")
    fd = os.open(f"{fifo}.new", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    os.rename(f"{fifo}.new", fifo)
    return fd


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def started(command: "list[str]", rows: int, columns: int) -> "tuple[int, int]":
    """(process, where its input goes: the terminal's other side, or a pipe)."""
    theirs, ours = os.openpty()[::-1] if rows else os.pipe()
    if rows:
        resize(ours, rows, columns)
    child = os.fork()
    if child:
        os.close(theirs)
        os.set_blocking(ours, False)
        return child, ours
    if rows:
        os.setsid()
        fcntl.ioctl(theirs, TIOCSCTTY, 0)
    for fd in (0, 1, 2) if rows else (0,):
        os.dup2(theirs, fd)
    os.closerange(3, 64)
    # The first is ignored by Python, the others by whatever a shell without a terminal starts with `&`.
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(127)


class Session:
    def __init__(self, fifo: str, rows: int, columns: int, command: "list[str]") -> None:
        self._fifo = opened(fifo)
        self._is_terminal = rows > 0
        self._child, self._input = started(command, rows, columns)
        self._exit = os.pidfd_open(self._child)
        self._said = b""                   # by the caller, not yet taken apart
        self._pending = b""                # for the command
        self._is_ended = False             # the input

    def run(self) -> int:
        while not self._step():
            pass
        if self._is_terminal:
            while self._input >= 0 and self._show():
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])

    def _step(self) -> bool:
        """Wait for news and deal with them; True once the command has ended."""
        poll = select.poll()
        for fd in (self._fifo, self._exit):
            poll.register(fd, select.POLLIN)
        events = (select.POLLIN if self._is_terminal else 0) | (select.POLLOUT if self._pending else 0)
        if self._input >= 0 and events:
            poll.register(self._input, events)
        news = dict(poll.poll())
        if self._fifo in news:
            self._said += os.read(self._fifo, 65536)
            self._take_apart()
        if self._is_terminal and news.get(self._input, 0) & ~select.POLLOUT:
            self._show()
        self._give()
        return self._exit in news

    def _take_apart(self) -> None:
        while len(self._said) >= HEAD.size:
            letter, length = HEAD.unpack_from(self._said)
            if len(self._said) < HEAD.size + length:
                return
            octets, self._said = self._said[HEAD.size : HEAD.size + length], self._said[HEAD.size + length :]
            if letter == b"D":
                self._pending += octets
            elif letter == b"E":
                self._is_ended = True
                self._pending += END_OF_TRANSMISSION if self._is_terminal else b""
            elif letter == b"W" and self._is_terminal and self._input >= 0:
                resize(self._input, *SIZE.unpack(octets))

    def _give(self) -> None:
        """What the command takes of its input; one that has closed it hears no more."""
        if self._input < 0:
            self._pending = b""
            return
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._input, self._pending) :]
        except BlockingIOError:
            return
        except OSError:
            self._pending, self._is_ended = b"", True
        if self._is_ended and not self._is_terminal:
            os.close(self._input)
            self._input = -1

    def _show(self) -> bool:
        """Whether the terminal had something to show."""
        try:
            octets = os.read(self._input, 65536)
        except BlockingIOError:
            return False
        except OSError:                # EIO: the last process that had it open has closed it
            os.close(self._input)
            self._input = -1
            return False
        while octets:
            octets = octets[os.write(1, octets) :]
        return True


if __name__ == "__main__":
    code = Session(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]).run()
    sys.exit(code if code >= 0 else 128 - code)
