"""What `vswitch vhost_user` says of itself, by QEMU's conventions for back-end programs, and what it refuses to begin."""

import json
import os
import shutil
import socket
import tomllib
from pathlib import Path

import pytest

from vswitch import cli
from vswitch.cli import _named, main, vhost_user

ROOT = Path(__file__).resolve().parents[2]
# VHostUserBackendType of QEMU's docs/interop/vhost-user.json.
TYPES = {"9p", "balloon", "block", "caif", "console", "crypto", "gpu", "input", "net", "rng", "rpmsg", "rproc-serial", "scsi",
         "vsock", "fs"}


@pytest.fixture
def said(capsys, monkeypatch, tmp_path):
    """Run the command where no vswitchd is; (exit code, stdout, stderr)."""
    monkeypatch.setenv("VSWITCH_RUN", str(tmp_path / "run"))

    def run(*words):
        with pytest.raises(SystemExit) as end:
            main(["vhost_user", *map(str, words)])
        return (int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.mark.parametrize("others", [(), ("--fd", 7, "--socket-path", "/x"), ("--nonsense", "word", "--fd", "none")])
def test_capabilities_need_nothing_and_everything_else_is_ignored(said, others):
    code, out, err = said(*others, "--print-capabilities")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"type": "net", "features": []}
    if others:                                       # the control: without it they are not ignored
        assert said(*others)[0] == 2


def test_the_description_names_the_installed_program_by_its_absolute_path(said, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program, path: None)
    code, out, err = said("--print-description")
    assert (code, out) == (1, "") and "not installed" in err
    monkeypatch.undo()
    program = tmp_path / vhost_user.PROGRAM
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "vswitch")])
    code, out, _ = said("--print-description")
    described = json.loads(out)
    # VhostUserBackend of QEMU's docs/interop/vhost-user.json: three strings, and optional tags.
    assert code == 0 and set(described) == {"description", "type", "binary"}
    assert all(isinstance(value, str) and value for value in described.values())
    assert described["type"] in TYPES
    assert described["binary"] == str(program) and os.access(described["binary"], os.X_OK)


def test_the_program_of_that_name_is_this_command(said, capsys, monkeypatch):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts[vhost_user.PROGRAM].partition(":")
    assert module == cli.__name__
    monkeypatch.setattr("sys.argv", [vhost_user.PROGRAM, "--print-capabilities"])
    with pytest.raises(SystemExit) as end:
        getattr(cli, function)()
    assert not end.value.code and json.loads(capsys.readouterr().out)["type"] == "net"


@pytest.mark.parametrize(("words", "wanted"), [
    (["--fd", "0"], "--port"),
    (["--port", "/run/x.sock"], "either --socket-path or --fd"),
    (["--port", "/run/x.sock", "--fd", "0", "--socket-path", "/run/y.sock"], "either --socket-path or --fd"),
    (["--port", "/run/x.sock", "--fd", "-1"], "-1"),
    (["--port", "/run/x.sock", "--fd", "1023"], "Bad file descriptor"),
])
def test_usage(said, words, wanted):
    code, out, err = said(*words)
    assert (code, out) == (2, "")
    assert wanted in err


@pytest.mark.parametrize("which", ["listens", "of another kind", "not connected"])
def test_a_descriptor_that_is_no_connection(said, which):
    kind = socket.SOCK_SEQPACKET if which == "of another kind" else socket.SOCK_STREAM
    sides = socket.socketpair(socket.AF_UNIX, kind) if which == "of another kind" else [socket.socket(socket.AF_UNIX, kind)]
    if which == "listens":
        sides[0].bind("")                            # a name that the kernel chooses
        sides[0].listen()
    code, _, err = said("--port", "/run/x.sock", "--fd", os.dup(sides[0].fileno()))
    assert code == 2 and "give a connected UNIX stream socket" in err
    for side in sides:
        side.close()


class Asked:
    """A vswitchd that knows some ports."""

    def ports(self, topology):
        ports = {"tap": None, "shared": {"listen": "switch", "path": "/nowhere/b.sock"},
                 "qemus": {"listen": "qemu", "path": "/nowhere/q.sock"}}
        return [{"name": name, "topology": name_of, "attach": "vhost_user" if where else "tap", "socket": where}
                for name_of in ("t1", "t2") if topology in (None, name_of)
                for name, where in ports.items() if name == "tap" or name_of == "t1"]


@pytest.mark.parametrize(("words", "wanted"), [
    (["sharde"], "there is no port `sharde`; did you mean `shared`?"),
    (["tap"], "`tap` is a port of t1 and of t2; say which with --topology"),
    (["tap", "-t", "t2"], "port tap says `attach: tap`; a program is for `attach: vhost_user`"),
    (["qemus"], "port qemus says `listen: qemu`"),
    (["shared", "-t", "t2"], "there is no port `shared`; there are none here"),
])
def test_ports_that_take_no_program(said, monkeypatch, words, wanted):
    monkeypatch.setattr(_named, "client", Asked)
    code, _, err = said("--socket-path", "/nowhere/x", "--port", *words)
    assert code == 2 and wanted in err
    code, _, err = said("--socket-path", "/nowhere/x", "--port", "shared")     # the control: it is one, and nobody is there
    assert code == 1 and "/nowhere/b.sock: nobody listens there" in err


def test_no_vswitchd_to_ask(said):
    code, _, err = said("--port", "a.eth0", "--socket-path", "/nowhere/x")
    assert code == 3 and "no vswitchd runs" in err
