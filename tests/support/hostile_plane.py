"""A data plane that has been taken over: sits at a door and answers vswitchd as a script says; and how tests start one.

The script is a file of JSON, read anew at each request: from the word of a request to what is done instead of the honest
answer.

    "silent"             nothing is ever answered
    "flood"              events without end, and no answer
    {"raw": TEXT}        TEXT as it is, with ID in the place of the request's number
    {"ok": {...}}        this answer; `"fds": [KIND, ...]` goes with it: memory, event, stream, listener, null
    {"endless": {...}}   this answer, whose `next` is one more than the request's `from`
    {"event": {...}}     this event with "fds", then an empty answer
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataplane import counters, messages, reasons

ROOT = Path(__file__).resolve().parents[2]
TABLE_OCTETS = counters.SIZE + 4096 + 65536 * 64
Script = dict[str, Any]
HONEST = {"hello": "honest", "ports": {"ok": {"ports": [], "next": None}}, "fdb": {"ok": {"entries": [], "next": None}}}


class Hostile:
    """The process, as the test sees it; `says` changes its script."""

    def __init__(self, door: Path, topology: str, switch: str, script: Script) -> None:
        self.script = door.parent.parent.parent / f"{topology}-{switch}.script"
        self.heard = self.script.with_suffix(".heard")
        self.heard.write_text("")                    # another may have sat here before
        self.says(script)
        door.parent.mkdir(mode=0o700, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(os.fspath(door))
        listener.listen(8)
        with listener:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.hostile_plane", str(listener.fileno()), topology, switch, self.script],
                cwd=ROOT, pass_fds=(listener.fileno(),))
        self.process_ready()

    def process_ready(self) -> None:
        while "ready" not in self.heard.read_text() and self.process.poll() is None:
            threading.Event().wait(0.01)

    def says(self, script: Script) -> None:
        partial = self.script.with_suffix(".partial")
        partial.write_text(json.dumps(script))
        partial.rename(self.script)

    def was_asked(self) -> list[str]:
        return self.heard.read_text().split()[1:]

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def hostile(door: Path, topology: str = "z", switch: str = "evil", **script: Any) -> Iterator[Hostile]:
    plane = Hostile(door, topology, switch, script)
    try:
        yield plane
    finally:
        plane.end()
        door.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            door.parent.rmdir()


def listed(name: str, **config: Any) -> dict[str, Any]:
    """A port as an honest data plane lists it."""
    whole = {**messages.PORT_DEFAULTS, "name": name, "index": 0, "driver": "vhost_user", "attach": "vhost_user", "guest": "x",
             "nic": "eth0", "carrier": False, **config}
    return {"config": whole, "state": "waiting", "why": "", "errno": 0, "mac": "", "blocked": "", "fds": 0, "guest": None,
            "guest_fds": 0}


# The process.

def open_fd(kind: str) -> int:
    match kind:
        case "memory":
            return os.memfd_create("hostile")
        case "event":
            return os.eventfd(0)
        case "stream":
            return socket.socketpair()[0].detach()
        case "listener":
            found = socket.socket(socket.AF_UNIX)
            found.bind("")                           # an abstract name that the kernel chooses
            found.listen()
            return found.detach()
    return os.open(os.devnull, os.O_RDWR)


class Answers:
    def __init__(self, topology: str, switch: str, script: Path) -> None:
        self.script = script
        self.tables = os.memfd_create("tables", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.tables, TABLE_OCTETS)
        config = {**messages.SWITCH_DEFAULTS, "topology": topology, "name": switch}
        self.hello = {"version": messages.VERSION, "layout": counters.LAYOUT, "reasons": len(reasons.REASONS), "pid": os.getpid(),
                      "config": config, "resumed": True}

    def serve(self, connection: socket.socket) -> None:
        while (got := messages.receive(connection)) is not None:
            request, fds = got
            messages.close_fds(fds)
            with self.script.with_suffix(".heard").open("a") as heard:
                heard.write(f"{request['do']}\n")
            try:
                self.answer(connection, request)
            except OSError:
                return
            if request["do"] == "stop":
                os._exit(0)

    def answer(self, connection: socket.socket, request: dict[str, Any]) -> None:
        said = json.loads(self.script.read_text()).get(request["do"], HONEST.get(request["do"], {"ok": {}}))
        number = request["id"]
        if said == "silent":
            return
        if said == "honest":
            messages.send(connection, {"id": number, "ok": self.hello}, [self.tables])
            return
        if said == "flood":
            for _ in itertools.count():
                messages.send(connection, {"event": "x"})
        if "raw" in said:
            connection.send(said["raw"].replace("ID", str(number)).encode())
            return
        fds = [open_fd(kind) for kind in said.get("fds", [])]
        if "event" in said:
            messages.send(connection, said["event"], fds)
            messages.send(connection, {"id": number, "ok": {}})
        elif "endless" in said:
            messages.send(connection, {"id": number, "ok": said["endless"] | {"next": request.get("from", 0) + 1}}, fds)
        else:
            hello = [self.tables] if request["do"] == "hello" else []
            messages.send(connection, {"id": number, "ok": said["ok"]}, [*hello, *fds])


def main() -> None:
    number, topology, switch, script = sys.argv[1:]
    listener = socket.socket(fileno=int(number))
    listener.listen(8)                               # once more, so that SO_PEERCRED shows this process
    answers = Answers(topology, switch, Path(script))
    with Path(script).with_suffix(".heard").open("a") as heard:
        heard.write("ready\n")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answers.serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
