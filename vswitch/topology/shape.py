"""Document -> vocabulary: every unknown key, missing key and impossible value is noted, in words and at its place.

A part that is wrong is taken out and the rest is read again, so that one misspelt key does not hide the mistakes that
`resolve` would find elsewhere in the file.
"""

from __future__ import annotations

import copy
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vswitch.topology.document import Document, Path
from vswitch.topology.mistakes import Mistakes, did_you_mean
from vswitch.topology.not_yet import refusal
from vswitch.topology.scalars import Wrong, shown
from vswitch.topology.vocabulary import TopologyKeys

ROUNDS_MAX = 8                     # each takes wrong parts out; a real file needs two
EXTENSION = "x-"                   # top-level keys of the author's own, a place for anchors
MISSING = {"schema": "`schema: vswitch/v1` as the first line", "name": "`name: NAME`", "switches": "`switches: {lan: {}}`"}
MAPS = {"guests": "`guests: {a: {switch: lan}}`", "switches": "`switches: {lan: {}}`",
        "uplinks": "`uplinks: {wan: {interface: eth1}}`", "portgroups": "`portgroups: {dmz: {switch: lan}}`",
        "host": "`host: {mgmt: {switch: lan}}`", "physical_networks": "`physical_networks: {internet: {}}`",
        "mirrors": "`mirrors: {copy: {from: a, to: b}}`"}
STAND_INS: dict[str, Any] = {"schema": "vswitch/v1", "name": "unnamed", "switches": {}}
UNREADABLE: dict[str, Any] = {"from": "any", "to": "any", "reach": True}    # stands for an expectation that is wrong


def shape(document: Document, mistakes: Mistakes) -> TopologyKeys:
    """The file in the vocabulary's terms, less what was wrong with it (which is noted)."""
    values = {key: value for key, value in copy.deepcopy(document.values).items() if not key.startswith(EXTENSION)}
    for _ in range(ROUNDS_MAX):
        try:
            return TopologyKeys.model_validate(values)
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in details:
            # What was taken out for being wrong is missing in the next round.
            if detail["type"] != "missing" or not _is_written(detail["loc"], document.values):
                _note(detail, mistakes)
        for detail in sorted(details, key=lambda detail: len(detail["loc"]), reverse=True):
            _take_out(detail, values)
    mistakes.raise_any()
    raise AssertionError("a file that is read in no round has mistakes")


def _is_written(path: Path, values: object) -> bool:
    for step in path:
        if not isinstance(values, dict) or step not in values:
            return False
        values = values[step]
    return True


def _note(detail: ErrorDetails, mistakes: Mistakes) -> None:
    """Say one of pydantic's findings in our words."""
    path: Path = detail["loc"]
    kind, found = detail["type"], shown(detail["input"])
    if mistakes.has(path):             # the reader has said it: a tag, a variable
        return
    if path[-1:] == ("[key]",):
        mistakes.add(path[:-1], str(detail["ctx"]["error"]), at_key=True)
    elif kind == "extra_forbidden":
        key = str(path[-1])
        expected = "" if refusal(key) else did_you_mean(key, keys_of(path[:-1]))
        mistakes.add(path, refusal(key) or f"unknown key `{key}`", expected, at_key=True)
    elif kind == "missing":
        example = MISSING.get(str(path[-1])) if len(path) == 1 else None
        mistakes.add(path[:-1], f"the key `{path[-1]}` is missing", f"expected {example or f'`{path[-1]}: ...` here'}",
                     at_key=True)
    elif kind == "value_error":
        wrong = detail["ctx"]["error"]
        mistakes.add(path + (wrong.path if isinstance(wrong, Wrong) else ()), str(wrong))
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        example = MAPS.get(str(path[0])) if len(path) == 1 else None
        mistakes.add(path, f"{found} was found", f"expected a map such as {example}" if example
                     else "expected a map of keys and values")
    elif kind == "list_type":
        mistakes.add(path, f"{found} was found", "expected a list")
    else:
        mistakes.add(path, f"{found} was found", detail["msg"])


def _take_out(detail: ErrorDetails, values: dict[str, Any]) -> None:
    """Remove the part of `values` that `detail` is about, so that the rest can be read."""
    path = detail["loc"]
    if path[-1:] == ("[key]",):
        path = path[:-1]
    if path[:1] == ("expect",) and len(path) > 1 and isinstance(values.get("expect"), list):
        values["expect"][path[1]] = dict(UNREADABLE)
        return
    if detail["type"] == "missing":
        if len(path) == 1:
            values[str(path[0])] = STAND_INS[str(path[0])]
            return
        path = path[:-1]
    indices = [position for position, step in enumerate(path) if isinstance(step, int)]
    if indices:                    # a list of which one item is wrong goes as a whole
        path = path[: indices[0]]
    holder: Any = values
    for step in path[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if isinstance(holder, dict):
        holder.pop(path[-1], None)
        if len(path) == 1 and path[0] in STAND_INS:
            holder[str(path[0])] = STAND_INS[str(path[0])]


def keys_of(path: Path) -> list[str]:
    """The keys that the map at `path` may have."""
    model: Any = TopologyKeys
    for step in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
            model = fields.get(str(step))
        elif typing.get_origin(model) in (dict, list):
            model = typing.get_args(model)[-1]
        else:
            model = types.NoneType
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]
