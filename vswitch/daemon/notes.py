"""What vswitchd says of guests and cables that come and go, (event, words, port) for `Events.note`; and of steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vswitch.daemon.connection import quoted
from vswitch.plan import Step

STEPS_MAX = 4                      # told one by one; of more, how many

Note = tuple[str, str, str]


def carrier(config: Mapping[str, Any], has_carrier: bool) -> Note:
    """Of a port behind an interface: a TAP that a guest opens or closes, or a cable."""
    name, interface = config["name"], config["interface"]
    if config["role"] == "uplink":
        return (("uplink_came", f"{name}: {interface} has a link", name) if has_carrier
                else ("uplink_lost", f"{name}: {interface} has no link", name))
    return (("guest_came", f"{name}: a guest has opened {interface}", name) if has_carrier
            else ("guest_left", f"{name}: the guest has closed {interface}", name))


def of_guest(config: Mapping[str, Any], event: Mapping[str, Any], has_guest: bool) -> Iterator[Note]:
    """Of what a data plane says about the port of a guest that shares memory, or about a cable."""
    name = config["name"]
    if event.get("event") == "carrier" and config["driver"] != "vhost_user":
        yield carrier(config, event.get("carrier") is True)
    elif event.get("event") == "carrier" and event.get("carrier") is True:
        yield "guest_came", f"{name}: the guest is connected and its driver has started", name
    elif event.get("event") == "guest_gone" and has_guest:
        why = quoted(event.get("why"))
        if event.get("refused") is True:
            yield "guest_refused", f"{name}: the guest's connection is refused: {why}", name
        else:
            yield "guest_left", f"{name}: the guest has gone: {why}", name


def told(steps: list[Step]) -> str:
    """What was done, in one line."""
    if not steps:
        return "nothing to do"
    shown = "; ".join(step.words for step in steps[:STEPS_MAX])
    more = f"; and {len(steps) - STEPS_MAX} more" if len(steps) > STEPS_MAX else ""
    return f"{len(steps)} step{'s' if len(steps) > 1 else ''}: {shown}{more}"
