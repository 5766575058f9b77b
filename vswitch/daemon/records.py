"""What was asked for, on disk: one file for each topology that is up, so that the next vswitchd knows it too.

Written before anything is changed and removed after everything is gone.  The text is a copy: vswitchd reads no file
that a topology names.  A record that cannot be used costs its own topology: it is named, and the others run.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from vswitch.daemon.places import Places
from vswitch.errors import HostError, RefusedError
from vswitch.plan.wanted import Wish, is_namespace
from vswitch.topology.model import LabMode

log = logging.getLogger("vswitchd")


@dataclass(frozen=True)
class Record:
    # What lies on disk may be damaged, or of another version: other types and keys that we do not know are refused.
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    topology: str
    text: str
    file: str                          # where the text came from; for messages and for people
    namespace: str = ""
    lab: LabMode | None = None
    force: bool = False
    take_over: bool = False
    owner: str = "root"
    attached: dict[str, str] = field(default_factory=dict)   # port -> the running guest's TAP that it uses instead
    confirm_by_s: float | None = None  # CLOCK_BOOTTIME after which it is taken back unless somebody confirms it
    before: dict[str, Any] | None = None   # the record to go back to then; None: to nothing

    @property
    def wish(self) -> Wish:
        return Wish(self.namespace, self.lab, self.force, self.take_over, self.owner, self.attached)


@dataclass(frozen=True)
class Unreadable:
    """A record that is there and cannot be used; `namespace` is what it says, as far as that can be told."""

    topology: str
    place: Path
    why: str
    namespace: str = ""


_records = TypeAdapter(Record)


def load_record(places: Places, topology: str) -> Record | None:
    """The record of a topology, or None when it is not up, or what is there cannot be read."""
    found = look_up(places, topology)
    if isinstance(found, Unreadable):
        log.error("%s cannot be read: %s", found.place, found.why)
        return None
    return found


def look_up(places: Places, topology: str) -> Record | Unreadable | None:
    """The record of a topology; None when there is none."""
    place = _path(places, topology)
    said: Any = None
    try:
        said = json.loads(place.read_text())
        return _checked(said, topology)
    except FileNotFoundError:
        return None
    except RecursionError:
        why = "lists within lists without end"
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, mistake['loc'])) or 'the whole'}: {mistake['msg']}"
                        for mistake in error.errors()[:3])
    except (OSError, ValueError) as error:
        why = str(error)
    namespace = said.get("namespace") if isinstance(said, dict) else None
    return Unreadable(topology, place, why, namespace if isinstance(namespace, str) and is_namespace(namespace) else "")


def _checked(said: Any, topology: str) -> Record:
    record = _records.validate_json(json.dumps(said))
    if record.topology != topology:
        raise ValueError(f"it is the record of {record.topology!r}")
    if record.namespace and not is_namespace(record.namespace):
        raise ValueError(f"{record.namespace!r} is not the name of a network namespace")
    if record.before is not None and _checked(record.before, topology).before is not None:
        raise ValueError("a record before the one before")
    return record


def load_records(places: Places) -> list[Record]:
    """All that can be read."""
    return [found for found in _all(places) if isinstance(found, Record)]


def unreadable_records(places: Places) -> list[Unreadable]:
    return [found for found in _all(places) if isinstance(found, Unreadable)]


def _all(places: Places) -> list[Record | Unreadable]:
    names = sorted(path.stem for path in places.state.glob("*.json"))
    return [found for name in names if (found := look_up(places, name)) is not None]


def forget_partial_records(places: Places) -> None:
    """Of a vswitchd that ended while it wrote, or that found no room."""
    for path in places.state.glob("*.partial"):
        path.unlink(missing_ok=True)


def file_of(before: Record, text: str, file: str) -> str:
    """The file that the topology is of from now on.  Another one is another topology that happens to have the same name; the
    same text that has been moved is not, and a copy of it changes nothing."""
    if os.path.normpath(before.file) == os.path.normpath(file):
        return file
    is_there = os.path.exists(before.file)
    if before.text == text:
        return before.file if is_there else file
    was = before.file if is_there else f"{before.file}, which is not there any more"
    raise RefusedError(
        f"{before.topology} is up from another file, {was}; bringing it up from {file} would change what that one made. Give one "
        f"of them another `name:`, or take the other down first (vswitch down {before.topology}); if {file} is meant to take its "
        "place: --force")


def save_record(places: Places, record: Record) -> None:
    """Write it so that a crash at any moment leaves the old one or the new one."""
    path = _path(places, record.topology)
    if look_up(places, record.topology) == record:
        return                         # a vswitchd that starts can do so where there is no room
    partial = path.with_suffix(".partial")
    try:
        with partial.open("w") as stream:
            json.dump(asdict(record), stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise HostError(f"cannot write down what is asked for, at {path}: {error.strerror}; nothing is changed. "
                        f"Make room there (`df {places.state}` shows how much there is), and say it again") from error
    _sync_folder(places.state)


def forget_record(places: Places, topology: str) -> None:
    _path(places, topology).unlink(missing_ok=True)
    _sync_folder(places.state)


def _path(places: Places, topology: str) -> Path:
    return places.record(topology)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
