"""`vswitch vhost_user`: one port of `attach: vhost_user` as a program, by the conventions that QEMU has for back-ends.

Management software starts such a program for each device, with the guest's socket in its hands (`--fd`) or to be made
(`--socket-path`), and ends it by SIGTERM (QEMU's docs/interop/vhost-user.rst, "Backend program conventions").  Ours is a guest to
the port's own socket and hands everything on (`_relay.py`): it needs no more rights than the guest's emulator would, frames
and notifications do not pass through it, and a data plane or a vswitchd that dies is followed by another as for any guest.
The guest is plugged in for as long as the program lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import rich_click as click

from vswitch import unix_listener
from vswitch.cli._output import print_json, say
from vswitch.cli._relay import relay
from vswitch.errors import HostError, RefusedError, UsageError

PROGRAM = "vswitch-vhost-user-net"
# QEMU's docs/interop/vhost-user.json knows features of other types, and none of `net`.
CAPABILITIES: dict[str, Any] = {"type": "net", "features": []}
DESCRIPTION = "vswitch: a port of a virtual switch"


class BackendCommand(click.RichCommand):
    """A command that ignores everything else beside `--print-capabilities`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        only = "--print-capabilities"
        return super().parse_args(context, [only] if only in args else args)


@click.command("vhost_user", cls=BackendCommand, short_help="Be the vhost-user back-end program of a port.")
@click.option("--socket-path", metavar="PATH", help="Listen here for the guest's emulator.")
@click.option("--fd", type=click.IntRange(0), metavar="FDNUM", help="The connection to it that is open already.")
@click.option("--port", metavar="GUEST.NIC|SOCKET", help="The port, or the path of its own socket, which needs no vswitchd "
                                                         "to be asked and so no right to ask it.")
@click.option("-t", "--topology", metavar="NAME|FILE", help="The topology of the port, when several have one of this name.")
@click.option("--print-capabilities", is_flag=True, help="Print what this back-end can do, as JSON; ignores everything else.")
@click.option("--print-description", is_flag=True,
              help="Print the JSON file by which management software finds this program: for "
                   "/etc/qemu/vhost-user/50-vswitch.json.")
def command(socket_path: str | None, fd: int | None, port: str | None, topology: str | None, print_capabilities: bool,
            print_description: bool) -> None:
    """Plug a guest into a port that says `attach: vhost_user`, for as long as this program runs.

    Installed as vswitch-vhost-user-net too.  Ends by SIGTERM; with --fd also when the guest hangs up.
    """
    if print_capabilities:
        click.echo(json.dumps(CAPABILITIES))
    elif print_description:
        print_json({"description": DESCRIPTION, "type": CAPABILITIES["type"], "binary": _binary()})
    elif port is None:
        raise UsageError("say which port with --port GUEST.NIC, or --port SOCKET")
    elif (socket_path is None) == (fd is None):
        raise UsageError("say either --socket-path or --fd: where the guest's emulator is to be met")
    else:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _end)
        if fd is not None:
            _serve_one(_given(fd), _socket_of(port, topology))
        else:
            _serve_all(str(socket_path), _socket_of(port, topology))


def _end(*signal_and_frame: object) -> NoReturn:
    sys.exit(0)


def _serve_one(guest: socket.socket, path: str) -> None:
    """Plug `guest`, which is taken, into the port at `path` until one of them hangs up."""
    with guest, _connect(path) as port:
        why = relay(guest, port)
    if why:
        raise HostError(why)


def _serve_all(socket_path: str, path: str) -> None:
    """One guest after another; who comes while one is there waits, as he would at the port's own socket."""
    with _listening(socket_path, _owner_of(path)) as listener:
        say(f"listening at {socket_path} for the guest of {path}")
        while True:
            guest, _ = listener.accept()
            try:
                _serve_one(guest, path)
            except HostError as error:
                say(str(error))


def _socket_of(port: str, topology: str | None) -> str:
    """The path of the socket that guests of `port` connect to."""
    if "/" in port:
        return port
    # What is needed to ask vswitchd takes longer to load, and more memory, than all the rest of this program.
    from vswitch.cli._named import client, rows_of
    from vswitch.topology.mistakes import did_you_mean

    rows = rows_of(client().ports, topology)
    found = [row for row in rows if port in (row["name"], row.get("guest"))]
    if not found:
        raise UsageError(f"there is no port `{port}`; {did_you_mean(port, [row['name'] for row in rows if row['socket']])}")
    if len({row["topology"] for row in found}) > 1:
        raise UsageError(f"`{port}` is a port of {' and of '.join(row['topology'] for row in found)}; say which with --topology")
    if len(found) > 1:
        raise UsageError(f"guest `{port}` has {len(found)} ports; name one: {', '.join(row['name'] for row in found)}")
    where = found[0]["socket"]
    if where is None:
        raise UsageError(f"port {port} says `attach: {found[0]['attach']}`; a program is for `attach: vhost_user`")
    if where["listen"] != "switch":
        raise UsageError(f"port {port} says `listen: {where['listen']}`: it is QEMU that listens, and needs no program")
    return str(where["path"])


def _given(fd: int) -> socket.socket:
    """The connection that whoever started us has left open as `fd`."""
    try:
        given = socket.socket(fileno=fd)
        given.getpeername()
    except OSError as error:
        raise UsageError(f"--fd {fd} is no connection: {error.strerror}; give a connected UNIX stream socket") from None
    if (given.family, given.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
        raise UsageError(f"--fd {fd} is a socket of another kind; give a connected UNIX stream socket")
    return given


def _connect(path: str) -> socket.socket:
    """A connection to the port, as one of its guests."""
    port = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        port.connect(path)
    except OSError as error:
        port.close()
        raise HostError(f"cannot connect to the port at {path}: {_words(error)}") from None
    return port


def _owner_of(path: str) -> int:
    """The user whose guests may plug in at `path`; an error when nobody can, and we neither."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise HostError(f"cannot reach the port at {path}: {_words(error)}") from None
    if not stat.S_ISSOCK(status.st_mode):
        raise UsageError(f"{path} is no socket; a port's has the path that its `socket:` says")
    if not os.access(path, os.W_OK):
        raise HostError(f"cannot reach the port at {path}: {_words(PermissionError())}")
    return status.st_uid if os.geteuid() == 0 else os.geteuid()


def _words(error: OSError) -> str:
    """What an error of the port's socket means, and what to do."""
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            return "nobody listens there; `vswitch up FILE` makes the port"
        case PermissionError():
            return "not allowed; `socket: {owner: USER}` of the port says who may"
        case BlockingIOError():
            return "other guests wait for it already"
        case _:
            return error.strerror or str(error)


@contextlib.contextmanager
def _listening(path: str, owner: int) -> Iterator[socket.socket]:
    """A listener at `path`, whose name goes with it, unless it has become another's."""
    with socket.socket(fileno=unix_listener.listen(path, owner)) as listener:
        listener.setblocking(True)
        made = os.lstat(path)
        try:
            yield listener
        finally:
            unix_listener.remove(path, made)


def _binary() -> str:
    """Where this program is installed; management software starts it by its absolute path."""
    beside = [os.fspath(Path(sys.argv[0]).absolute().parent), sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    found = shutil.which(PROGRAM, path=os.pathsep.join(beside))
    if found is None:
        raise RefusedError(f"{PROGRAM} is not installed; `pip install .` does it")
    return found
