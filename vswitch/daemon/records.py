"""What was asked for, on disk: one file for each topology that is up, so that the next vswitchd knows it too.

Written before anything is changed and removed after everything is gone.  The text is a copy: vswitchd reads no file
that a topology names.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vswitch.daemon.places import Places
from vswitch.plan.wanted import Wish
from vswitch.topology.model import LabMode

log = logging.getLogger("vswitchd")


@dataclass(frozen=True)
class Record:
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


def load_record(places: Places, topology: str) -> Record | None:
    """The record of a topology, or None when it is not up, or what is there cannot be read."""
    path = _path(places, topology)
    try:
        return Record(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        log.error("%s cannot be read: %s", path, error)
        return None


def load_records(places: Places) -> list[Record]:
    names = sorted(path.stem for path in places.state.glob("*.json"))
    return [record for name in names if (record := load_record(places, name)) is not None]


def save_record(places: Places, record: Record) -> None:
    """Write it so that a crash at any moment leaves the old one or the new one."""
    path = _path(places, record.topology)
    partial = path.with_suffix(".partial")
    with partial.open("w") as stream:
        json.dump(asdict(record), stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(path)
    _sync_folder(places.state)


def forget_record(places: Places, topology: str) -> None:
    _path(places, topology).unlink(missing_ok=True)
    _sync_folder(places.state)


def _path(places: Places, topology: str) -> Path:
    return places.state / f"{topology}.json"


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
