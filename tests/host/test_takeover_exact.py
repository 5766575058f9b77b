"""What a take-over moves comes back as it was: addresses with their lifetimes, routes of every table and form, rules.

`ip -j` before the take-over and after the roll-back are compared whole, for routes drawn at random; between the two, the same
routes lead by the host port.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from typing import Any

import pytest

from tests.support.boxed import Box, boxed
from tests.support.waiting import eventually
from vswitch.errors import RefusedError

pytestmark = pytest.mark.netns
NAME = f"x{os.getpid()}"
TEXT = f"""\
schema: vswitch/v1
name: {NAME}
uplinks: {{wan: {{interface: eth9}}}}
switches: {{s1: {{uplinks: [wan]}}}}
host: {{mgmt: {{switch: s1, addresses: [10.77.0.1/24], routes: {{10.78.0.0/16: 10.77.0.254}}}}}}
"""
SEEDS = range(40) if os.environ.get("VSWITCH_LONG") else range(3)
FAMILIES = (("-4", "192.0.2", "/24"), ("-6", "2001:db8:0:1:", "/64"))
SECONDS = 90                           # that a lifetime may have grown shorter meanwhile


@pytest.fixture
def box():
    """A host with an adapter that leads somewhere, and another one that stays the host's."""
    with boxed() as box:
        for name in ("eth9", "eth8"):
            box.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
            for end in (name, f"{name}p"):
                box.ip("link", "set", end, "up")
        for line in ("addr add 192.0.2.10/24 dev eth9", "addr add 198.51.100.10/24 dev eth8",
                     "-6 addr add 2001:db8:0:1::10/64 dev eth9 nodad", "-6 addr add 2001:db8:0:2::10/64 dev eth8 nodad"):
            box.ip(*line.split())
        eventually(lambda: "tentative" not in box.ip("-6", "addr"))
        yield box


def state(box: Box) -> dict[str, Any]:
    """All that ip(8) shows of addresses, routes and rules, in an order of its own."""
    shown: dict[str, Any] = {}
    for family in ("-4", "-6"):
        shown[f"routes {family}"] = in_order(box, family, "route", "show", "table", "all")
        shown[f"rules {family}"] = in_order(box, family, "rule", "show")
    shown["addresses"] = [{**entry, "ifname": link["ifname"]} for link in json.loads(box.ip("-j", "addr", "show"))
                          for entry in link["addr_info"] if link["ifname"] in ("eth9", "eth8", "mgmt")]
    return shown


def in_order(box: Box, *words: str) -> list[Any]:
    return sorted(json.loads(box.ip("-j", *words) or "[]"), key=lambda entry: json.dumps(entry, sort_keys=True))


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """What is not equal; a lifetime may have run on."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [line for key in sorted({*before, *after})
                for line in differences(before.get(key), after.get(key), f"{where}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [line for n, pair in enumerate(zip(before, after, strict=True)) for line in differences(*pair, f"{where}[{n}]")]
    if where.endswith(("life_time", ".expires")) and isinstance(before, int) and isinstance(after, int):
        return [] if 0 <= before - after <= SECONDS else [f"{where}: {before} -> {after}"]
    return [] if before == after else [f"{where}: {before} -> {after}"]


def draw(box: Box, seed: int) -> list[str]:
    """Give the adapter addresses and routes of many forms; the commands that the kernel took."""
    drawn = random.Random(seed)
    lines = []
    for family, net, length in FAMILIES:
        colon = ":" if family == "-6" else "."
        host = [f"{net}{colon}{n}" for n in (20, 21, 22)]
        lines += [f"{family} addr add {host[0]}{length} dev eth9 valid_lft 4000 preferred_lft 3000",
                  f"{family} addr add {host[1]}{length} dev eth9 noprefixroute",
                  f"{family} addr add {host[2]}{length} dev eth9 metric {drawn.randint(2, 900)}"]
        is_ipv6 = family == "-6"
        via, onlink, other, far = (("2001:db8:0:1::1", "2001:db8:e::1", "2001:db8:0:2::1", "2001:db8:f::{}/128") if is_ipv6 else
                                   ("192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.{}/32"))
        second = via[:-1] + "3"
        lines += [f"{family} route add default via {'fe80::1' if is_ipv6 else via} dev eth9 metric {drawn.choice([0, 100])}",
                  f"{family} route add default via {via} dev eth9 metric {drawn.randint(200, 900)} table {drawn.randint(2, 250)}",
                  f"{family} rule add from {host[0]} table 55 pref {drawn.randint(100, 30000)}"]
        for n in range(10, 34):
            by = f"via {via} dev eth9"
            forms = [by, "dev eth9", f"via {onlink} dev eth9 onlink", f"{by} src {drawn.choice(host)}",
                     f"{by} mtu lock 1400 advmss 1300 hoplimit 9", f"{by} proto {drawn.choice(['boot', 'dhcp', 'ra', '77'])}",
                     f"{by} table 55", f"{by} metric {drawn.randint(2, 5000)}",
                     f"nexthop {by} weight {drawn.randint(1, 9)} nexthop via {other} dev eth8 weight 2",
                     f"nexthop {by} weight 3 nexthop via {second} dev eth9 weight 1"]
            forms += ([f"{by} expires {drawn.randint(300, 900)}", "via fe80::7 dev eth9", f"{by} pref high"] if is_ipv6
                      else [f"{by} tos 0x10", "via inet6 fe80::5 dev eth9", f"{by} realm 7", "dev eth9 scope link"])
            lines.append(f"{family} route add {far.format(n)} {drawn.choice(forms)}")
    taken = []
    for line in lines:
        if not subprocess.run(["ip", "-n", box.namespace, *line.split()], capture_output=True, check=False).returncode:
            taken.append(line)
    return taken


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_is_as_before_after_a_roll_back(box, seed):
    taken = draw(box, seed)
    assert len(taken) > 45, taken
    eventually(lambda: "tentative" not in box.ip("-6", "addr"))
    before = state(box)
    box.up(TEXT, take_over=True, confirm_s=600.0)
    moved = state(box)
    by_eth9 = [route for family in ("-4", "-6") for route in moved[f"routes {family}"]
               if (route.get("dev") == "eth9" or any(hop.get("dev") == "eth9" for hop in route.get("nexthops", [])))
               and route.get("protocol") != "kernel"]
    assert by_eth9 == []               # the control: they are away from the adapter, and at the host port
    n_drawn = sum(" route add " in line for line in taken)
    by_mgmt = [route for family in ("-4", "-6") for route in moved[f"routes {family}"] if route.get("protocol") != "kernel"
               and "mgmt" in json.dumps(route)]
    assert len(by_mgmt) >= n_drawn
    box.client.rollback(NAME)
    assert differences(before, state(box)) == []


def test_down_gives_back_what_the_host_changed_meanwhile(box):
    box.up(TEXT, take_over=True, confirm_s=600.0)
    box.client.confirm(NAME)
    assert box.up(TEXT) == []
    box.ip("route", "add", "203.0.113.0/24", "via", "192.0.2.1", "dev", "mgmt", "metric", "7")
    box.ip("addr", "add", "192.0.2.99/24", "dev", "mgmt")
    steps = box.up(TEXT)               # what the host adds at its port is the host's; no guest may draw such an address
    assert steps and all("192.0.2.99" in step and "port host.mgmt" in step for step in steps)
    assert box.up(TEXT) == []
    box.client.down(NAME)
    after = state(box)
    assert [route["dev"] for route in after["routes -4"] if route["dst"] == "203.0.113.0/24"] == ["eth9"]
    assert {"192.0.2.10", "192.0.2.99"} <= {entry["local"] for entry in after["addresses"] if entry["ifname"] == "eth9"}
    assert "10.77.0.1" not in json.dumps(after) and "10.78.0.0" not in json.dumps(after)     # ours went with its port


def test_routes_by_nexthop_objects_are_refused_in_words(box):
    box.ip("nexthop", "add", "id", "5", "via", "192.0.2.1", "dev", "eth9")
    box.ip("route", "add", "203.0.113.0/24", "nhid", "5")
    before = state(box)
    with pytest.raises(RefusedError, match="nexthop objects"):
        box.up(TEXT, take_over=True, confirm_s=600.0)
    assert not differences(before, state(box))
    box.ip("route", "del", "203.0.113.0/24")
    box.ip("nexthop", "del", "id", "5")
    assert box.up(TEXT, take_over=True, confirm_s=600.0)
