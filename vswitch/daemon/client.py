"""Speaks to vswitchd over its socket, and starts one when none runs.

An error arrives as the name of its class and its message, and is raised here as if it had happened here; so a command
ends with the same exit code.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

import vswitch
from vswitch import errors
from vswitch.daemon.patience import OnProgress, wait_for
from vswitch.daemon.places import Places
from vswitch.errors import DaemonError, NotRunningError, TopologyError, VswitchError

CONFIRM_S = 60.0                   # to confirm `up --take-over` in, when no time is given (control.py)
READ_S = 15.0
START_S = 30.0
AGAIN_S = 0.05
LOG_MODE = 0o600                   # it says who did what, and what guests did
LATE = "vswitch-late"              # header of an answer that lacks a table (api.py)
ROOT = Path(vswitch.__file__).parents[1]       # what has to be on the path for `vswitch` to be found
Answer = dict[str, Any]
Rows = list[Answer]


class Client:
    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self._places = Places(Path(run_dir).absolute())
        # A connection for each request: one that is kept may be a vswitchd's that has gone since.
        transport = httpx.HTTPTransport(uds=os.fspath(self._places.socket), limits=httpx.Limits(max_keepalive_connections=0))
        self.on_progress: OnProgress = lambda progress: None
        self._http = httpx.Client(transport=transport, base_url="http://vswitchd", timeout=READ_S)

    # Changes.

    def up(self, text: str, file: str, namespace: str = "", lab: str | None = None, force: bool = False,
           owner: str = "root", take_over: bool = False, confirm_s: float | None = None) -> Answer:
        """Make it so; {"topology": NAME, "steps": [...]}.  TAPs that name no owner go to `owner`."""
        return self._change("up", text=text, file=file, namespace=namespace, lab=lab, force=force, owner=owner,
                            take_over=take_over, confirm_s=confirm_s)

    def plan(self, text: str, file: str, namespace: str = "", lab: str | None = None, force: bool = False,
             owner: str = "root", take_over: bool = False) -> Rows:
        """The steps that `up` would do."""
        body = {"text": text, "file": file, "namespace": namespace, "lab": lab, "force": force, "owner": owner,
                "take_over": take_over}
        steps: Rows = self._change("plan", **body)["steps"]
        return steps

    def down(self, name: str, force: bool = False) -> Answer:
        """Remove what is ours of a topology; {"topology": NAME, "steps": [...]}."""
        return self._change("down", name=name, force=force)

    def confirm(self, name: str) -> Answer:
        """Keep a change that is taken back otherwise."""
        return self._change("confirm", name=name)

    def rollback(self, name: str) -> Answer:
        """Take it back now; {"topology": NAME, "steps": [...]}."""
        return self._change("rollback", name=name)

    def attach(self, topology: str, port: str, tap: str) -> Answer:
        """Plug the guest that holds `tap` into a port; {"topology": NAME, "steps": [...]}."""
        return self._change("attach", topology=topology, port=port, tap=tap)

    # Reads.

    def ports(self, topology: str | None = None) -> Rows:
        return self._rows("ports", topology)

    def fdb(self, topology: str | None = None) -> Rows:
        """A large table takes longer than one answer may; what is still not there after READ_S is left out."""
        asked: Answer = {"topology": topology} if topology else {}
        deadline_s = time.monotonic() + READ_S
        while True:
            response = self._ask("GET", "fdb", params=asked)
            if LATE not in response.headers or time.monotonic() > deadline_s:
                rows: Rows = response.json()
                return rows
            asked["since"] = response.headers[LATE]
            time.sleep(AGAIN_S)

    def drops(self, topology: str | None = None) -> Rows:
        return self._rows("drops", topology)

    def events(self, topology: str | None = None) -> Rows:
        return self._rows("events", topology)

    def switches(self, topology: str | None = None) -> Rows:
        return self._rows("switches", topology)

    def topologies(self) -> Rows:
        return self._rows("topologies", None)

    def text(self, topology: str) -> str:
        """The text of a topology as it is up."""
        return str(self._ask("GET", "text", params={"topology": topology}).json()["text"])

    def foreign(self) -> Rows:
        """Interfaces that look like ours and are not, and what was left behind."""
        return self._rows("foreign", None)

    def version(self) -> Answer:
        answer: Answer = self._ask("GET", "version").json()
        return answer

    def metrics(self) -> str:
        return self._ask("GET", "metrics").text

    # vswitchd itself.

    def answers(self) -> bool:
        try:
            self._ask("GET", "version")
        except DaemonError:
            return False
        return True

    def ensure_daemon(self) -> None:
        """Start a vswitchd when none answers; it ends by itself when nothing is up any more."""
        if self.answers():
            return
        if _is_refused(self._places.socket):
            raise self._not_allowed()
        try:
            self._places.make()
            with self._only_starter():
                if not self.answers():
                    self._start()
        except OSError as error:
            sudo = "; only root may start one, so try again with sudo" if isinstance(error, PermissionError) else ""
            raise DaemonError(f"no vswitchd answers, and none can be started: {error.filename}: {error.strerror}{sudo}") from None

    @contextlib.contextmanager
    def _only_starter(self) -> Iterator[None]:
        with self._places.starter_lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start(self) -> None:
        with self._places.log.open("a+b") as log:
            os.fchmod(log.fileno(), LOG_MODE)
            began_at = log.seek(0, os.SEEK_END)
            daemon = subprocess.Popen(
                [sys.executable, "-P", "-m", "vswitch.daemon.main", "--on-demand",
                 "--run-dir", os.fspath(self._places.run_dir)],
                cwd="/", start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PYTHONPATH": python_path()})
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.answers():
                daemon.returncode = 0  # it is on its own now: no warning that it still runs
                return
            if daemon.poll() is not None:
                break
            time.sleep(0.05)
        words = self._places.log.read_bytes()[began_at:].decode(errors="replace").strip().splitlines()[-8:]
        raise DaemonError("\n".join(["vswitchd does not start; its last words:", *words]))

    # One question.

    def _change(self, word: str, **body: Any) -> Answer:
        """Waits for as long as vswitchd gets on with this change, or with those before it."""
        # Not httpx's own JSON: a file's name may be any octets, and is escaped here.
        content, headers = json.dumps(body), {"content-type": "application/json"}
        answer: Answer = wait_for(
            lambda: self._ask("POST", word, content=content, headers=headers, timeout=None).json(), self._progress,
            self.on_progress, f"`{word}`; see {self._places.log}")
        return answer

    def _progress(self) -> Answer | None:
        try:
            progress: Answer = self._ask("GET", "progress").json()
        except VswitchError:           # it is too busy, or of a version that does not say
            return None
        return progress

    def _rows(self, word: str, topology: str | None) -> Rows:
        rows: Rows = self._ask("GET", word, params={"topology": topology} if topology else None).json()
        return rows

    def _ask(self, method: str, word: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, f"/{word}", **options)
        except httpx.TimeoutException:
            raise DaemonError(f"vswitchd does not answer `{word}`; see {self._places.log}") from None
        except httpx.TransportError as error:
            if _is_refused(self._places.socket):
                raise self._not_allowed() from None
            raise self._nothing_answers(error) from None
        if response.is_error:
            raise _error_of(response)
        return response

    def _nothing_answers(self, error: httpx.TransportError) -> DaemonError:
        """No vswitchd runs: because nothing is up, or although something is."""
        left = sorted(path.stem for path in self._places.state.glob("*.json"))
        if not self._places.socket.exists() and not left:
            return NotRunningError("nothing is up: no vswitchd runs; `vswitch up FILE` starts one")
        up = f", although {', '.join(left)} is up" if left else ""
        return DaemonError(f"no vswitchd answers at {self._places.socket} ({error}){up}; `vswitch up FILE` starts one")

    def _not_allowed(self) -> DaemonError:
        return DaemonError(f"not allowed to speak to vswitchd at {self._places.socket}: "
                           "be root or a member of the group `vswitch`")


def python_path() -> str:
    """What vswitchd finds its libraries by: what this command found them by, and this package itself."""
    given = [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return os.pathsep.join([*given, str(ROOT)])


def _is_refused(socket: Path) -> bool:
    """Whether the socket is there and not for us."""
    try:
        return socket.exists() and not os.access(socket, os.W_OK)
    except PermissionError:
        return True


def _error_of(response: httpx.Response) -> VswitchError:
    try:
        said = response.json()
        name, message = str(said["error"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        return DaemonError(f"vswitchd answered {response.status_code} and nothing that can be read")
    if name == TopologyError.__name__:
        return TopologyError([str(mistake) for mistake in said.get("mistakes", [message])])
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, VswitchError):
        return known(message)
    return VswitchError(message)
