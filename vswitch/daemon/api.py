"""The API: JSON over HTTP on a UNIX socket that only root and the group `vswitch` may open.

    POST /up /plan /down /attach /confirm /rollback
    GET /topologies /text /foreign /ports /fdb /drops /events /switches /progress /version /metrics

An error is {"error": CLASS, "message": TEXT} with the class's name from `vswitch.errors`, so that the client raises the
same one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException

from vswitch import __version__
from vswitch.daemon import metrics, views
from vswitch.daemon.audit import Audit, command, name_in, who
from vswitch.daemon.body_limit import BodyLimit
from vswitch.daemon.changes import Changes
from vswitch.daemon.control import Done
from vswitch.daemon.daemon import Daemon
from vswitch.errors import DaemonError, RefusedError, TopologyError, UsageError, VswitchError
from vswitch.plan import Step, as_json
from vswitch.plan.wanted import Wish, is_namespace
from vswitch.topology.model import LabMode

log = logging.getLogger("vswitchd")
LATE = "vswitch-late"              # a table is not there yet: ask again with `since=` this
CONFIRM_S_MAX = 86_400.0
WORD_MAX, PATH_MAX = 255, 4096
STATUS: dict[type[VswitchError], int] = {TopologyError: 422, UsageError: 400, RefusedError: 409, DaemonError: 503}


def _plain(value: str) -> str:
    """A name, of which messages and files are made."""
    if not value.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return value


def _shown(value: object) -> object:
    """A file's name is any octets; it is only shown."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _namespace(value: str) -> str:
    if value and not is_namespace(value):
        raise ValueError("it is not the name of a network namespace; `ip netns` lists those that there are")
    return value


Word = Annotated[str, Field(max_length=WORD_MAX), AfterValidator(_plain)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Asked(Strict):
    """A topology and how it is meant: `text` is the file's content, `file` what its mistakes are called by."""

    text: str
    file: Annotated[str, Field(max_length=PATH_MAX), BeforeValidator(_shown)]
    namespace: Annotated[str, AfterValidator(_namespace)] = ""
    lab: LabMode | None = None
    force: bool = False
    take_over: bool = False
    owner: Word = "root"

    @property
    def wish(self) -> Wish:
        return Wish(self.namespace, self.lab, self.force, self.take_over, self.owner)


class AskedToDo(Asked):
    """With `confirm_s`: unless it is confirmed within so many seconds, it is taken back."""

    confirm_s: float | None = Field(default=None, gt=0, le=CONFIRM_S_MAX)


class Named(Strict):
    name: Word


class Farewell(Strict):
    name: Word
    force: bool = False


class Attachment(Strict):
    topology: Word
    port: Word
    tap: Word


class AsciiJson(JSONResponse):
    """Whatever is in a text, it can be sent: what is not ASCII is escaped."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def make_app(daemon: Daemon) -> FastAPI:
    app = FastAPI(title="vswitchd", version=__version__, default_response_class=AsciiJson)
    for kind in (VswitchError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer_error)
    _add_changes(app, daemon)
    _add_reads(app, daemon)

    @app.middleware("http")
    async def note(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        with daemon.busy():
            try:
                return await following(request)
            except Exception as error:             # a mistake of ours; vswitchd goes on
                return await run_in_threadpool(_answer_error, request, error)      # its traceback reads files

    app.add_middleware(BodyLimit)                  # the last one is the first to see a request
    return app


def _add_changes(app: FastAPI, daemon: Daemon) -> None:
    control, audit, changes = daemon.control, Audit(daemon.journal), Changes()

    async def done(work: Callable[[], Done]) -> Response:
        # The answer is written in the change's thread too: that of a large topology takes a while.
        return await changes.run(lambda: JSONResponse(_done(*work())))

    @app.post("/up")
    async def up(request: Request, asked: AskedToDo) -> Response:
        words = command("up", asked.file, lab=asked.lab, force=asked.force, take_over=asked.take_over, confirm=asked.confirm_s)
        return await done(lambda: audit(who(request), words, name_in(asked.text), "changed", lambda: control.up(
            asked.text, asked.file, asked.wish, asked.confirm_s)))

    @app.post("/plan")
    async def plan(asked: Asked) -> Response:
        return await done(lambda: control.plan(asked.text, asked.file, asked.wish))

    @app.post("/down")
    async def down(request: Request, farewell: Farewell) -> Response:
        words = command(f"down {farewell.name}", force=farewell.force)
        return await done(lambda: audit(who(request), words, farewell.name, "changed", lambda: control.down(
            farewell.name, farewell.force)))

    @app.post("/confirm")
    async def confirm(request: Request, named: Named) -> Response:
        return await done(lambda: audit(who(request), f"confirm {named.name}", named.name, "confirmed",
                                        lambda: control.confirm(named.name)))

    @app.post("/rollback")
    async def rollback(request: Request, named: Named) -> Response:
        return await done(lambda: audit(who(request), f"rollback {named.name}", named.name, "rolled_back",
                                        lambda: control.rollback(named.name)))

    @app.post("/attach")
    async def attach(request: Request, attachment: Attachment) -> Response:
        words = f"attach {attachment.port} {attachment.tap}"
        return await done(lambda: audit(who(request), words, attachment.topology, "changed", lambda: control.attach(
            attachment.topology, attachment.port, attachment.tap)))


# Plain functions, not coroutines: each runs in a thread of the web server's.

def _add_reads(app: FastAPI, daemon: Daemon) -> None:
    planes = daemon.supervisor.planes

    @app.get("/ports")
    def ports(topology: str | None = None) -> list[views.Row]:
        return views.ports(planes(topology))

    @app.get("/fdb")
    def fdb(response: Response, topology: str | None = None, since: float | None = None) -> list[views.Row]:
        asked_s = time.monotonic()
        rows, late = views.tables(planes(topology), since)
        if late:                       # whoever wants those too asks again
            response.headers[LATE] = repr(asked_s if since is None else min(since, asked_s))
        return rows

    @app.get("/drops")
    def drops(topology: str | None = None) -> list[views.Row]:
        return views.drops(planes(topology))

    @app.get("/events")
    def events(topology: str | None = None) -> list[views.Row]:
        return views.events(daemon.journal.entries(topology))

    @app.get("/switches")
    def switches(topology: str | None = None) -> list[views.Row]:
        return views.switches(planes(topology))

    @app.get("/topologies")
    def topologies() -> list[views.Row]:
        return daemon.topologies()

    @app.get("/text")
    def text(topology: str) -> dict[str, str]:
        return {"text": daemon.control.text(topology)}

    @app.get("/foreign")
    def foreign() -> list[views.Row]:
        return daemon.foreign()

    @app.get("/progress")
    def progress() -> dict[str, Any]:
        return asdict(daemon.control.progress)

    @app.get("/version")
    def version() -> dict[str, Any]:
        return {"version": __version__}

    @app.get("/metrics")
    def scrape() -> Response:
        return Response(metrics.exposition(planes), media_type="text/plain; version=0.0.4; charset=utf-8")


def _done(name: str, steps: list[Step]) -> dict[str, Any]:
    return {"topology": name, "steps": [as_json(step) for step in steps]}


def _answer_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RequestValidationError):
        wrong = "; ".join(f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg']}" for mistake in error.errors())
        error = UsageError(f"{request.url.path}: {wrong}")
    if isinstance(error, HTTPException):
        return AsciiJson({"error": UsageError.__name__, "message": f"{request.url.path}: {error.detail}"}, error.status_code)
    if not isinstance(error, VswitchError):
        log.error("%s failed", request.url.path, exc_info=error)
        error = VswitchError(f"vswitchd failed at {request.url.path}: {error!r}; its log has the traceback")
    said: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, TopologyError):
        said["mistakes"] = error.mistakes
    return AsciiJson(said, STATUS.get(type(error), 500))
