"""`vswitch exec GUEST -- sh` in a QEMU lab: a shell on a terminal, and input that goes along as it comes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.boxed import ROOT
from tests.support.terminal import AtTerminal
from tests.support.waiting import eventually, is_readable

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(300)]


def sleeps(box) -> bool:
    return box.does("alice", "sh", "-c", "ps | grep -q '[s]leep 7654'")


def test_a_shell_on_a_terminal(box):
    with AtTerminal(box.run_dir, "exec", "-t", box.name, "alice", "--", "sh") as person:
        person.sees(r"# $")
        person.type("tty; stty size\r")
        person.sees(r"/dev/pts/\d+\r\n30 100\r\n")
        # The window is made larger.
        person.resize(50, 132)
        person.type("trap 'echo resized' WINCH; until stty size | grep -q '50 132'; do sleep 0.1; done; echo it' follows'\r")
        person.sees(r"it follows")
        # ^C ends what runs, and not the shell.
        person.type("cat; echo code $?\r")
        person.sees(r"code \$\?\r\n")
        person.type("a line\r")
        person.sees(r"a line\r\na line\r\n")
        person.type("\x03")
        person.sees(r"\^C")
        person.type("\recho still' here'\r")
        person.sees(r"still here")
        person.type("exit 7\r")
        assert person.ends() == 7
        assert person.after == person.before


def test_a_terminal_that_hangs_up_takes_the_shell_along(box):
    with AtTerminal(box.run_dir, "exec", "-t", box.name, "alice", "--", "sh", "-c", "sleep 7654; true") as person:
        eventually(lambda: sleeps(box), 60)
        person.hang_up()
        assert person.ends() == 129
        assert person.after == person.before
        eventually(lambda: not sleeps(box), 60)


def exec_with_pipe(box, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "vswitch", "exec", "-t", box.name, "alice", "--", *words], cwd=ROOT,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "VSWITCH_RUN": str(box.run_dir)})


def test_what_is_piped_in_goes_along_as_it_comes(box):
    with exec_with_pipe(box, "sh", "-c", "cat; exit 5") as process:
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert is_readable(process.stdout, 60)         # though the input has not ended
            assert process.stdout.readline() == line
        process.stdin.close()
        assert process.wait(60) == 5


def test_a_command_that_reads_nothing_ends_though_the_pipe_is_open(box):
    with exec_with_pipe(box, "echo", "hello") as process:
        assert process.wait(60) == 0
        assert process.stdout.read() == b"hello\n"


def test_all_octets_of_a_pipe_arrive(box):
    octets = bytes(range(256)) * 100
    with exec_with_pipe(box, "sha256sum") as process:
        out, _ = process.communicate(octets, timeout=120)
    done = subprocess.run(["sha256sum"], input=octets, capture_output=True, check=True)
    assert out == done.stdout


def test_a_command_that_is_not_there(box):
    with exec_with_pipe(box, "no-such-command") as process:
        assert process.wait(60) == 127
