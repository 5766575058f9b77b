"""Routes as a file writes them, set by a lab and at a host port, with traffic by each: link-local gateways, gateways on the link
of a port that has no network, several defaults."""

from __future__ import annotations

import os
import re

import pytest

from tests.support.bridged_lab import bridged_lab
from vswitch import host
from vswitch.plan.interface_steps import TunCreate
from vswitch.topology import loads

TOPOLOGY = """\
schema: vswitch/v1
name: NAME
switches: {lan: {}, far: {}}
guests:
  gw:
    role: router
    nics:
      lan: {switch: lan, addresses: [10.0.0.1/24, '2001:db8::1/64', 'fe80::1/64']}
      far: {switch: far, addresses: [10.9.0.1/24, '2001:db8:9::1/64']}
  server: {switch: far, addresses: [10.9.0.9/24, '2001:db8:9::9/64'], routes: {default: [10.9.0.1, '2001:db8:9::1']}}
  linklocal: {switch: lan, addresses: '2001:db8::2/64', routes: {default: 'fe80::1'}}
  host4: {switch: lan, addresses: 10.0.0.3/32, routes: {default: 10.0.0.1}}
  host6: {switch: lan, addresses: '2001:db8::4/128', routes: {default: '2001:db8::1'}}
  both: {switch: lan, addresses: [10.0.0.5/24, '2001:db8::5/64'], routes: {default: 10.0.0.1, '::/0': 'fe80::1'}}
  list: {switch: lan, addresses: [10.0.0.6/24, '2001:db8::6/64'], routes: {default: [10.0.0.1, 10.0.0.250, 'fe80::1']}}
  outside: {switch: lan, addresses: 10.0.0.7/25, routes: {10.9.0.0/16: {via: 10.0.0.1, onlink: true, metric: 7}}}
  next6: {switch: lan, addresses: 10.0.0.8/24, routes: {10.9.0.0/16: 'fe80::1'}}
  homes:
    role: multihomed
    nics:
      a: {switch: lan, addresses: 10.0.0.9/24, routes: {default: 10.0.0.1}}      # `ip link set a` would mean its address
      far: {switch: far, addresses: 10.9.0.8/24, routes: {default: 10.9.0.1}}
"""
REACHES = {"linklocal": "6", "host4": "4", "host6": "6", "both": "46", "list": "46", "outside": "4", "next6": "4", "homes": "4"}
SERVER = {"4": "10.9.0.9", "6": "2001:db8:9::9"}


@pytest.mark.netns
def test_every_gateway_of_a_lab_is_used(tmp_path):
    topology = loads(TOPOLOGY.replace("NAME", f"t{os.getpid()}"), str(tmp_path / "t.yaml"))
    with bridged_lab(topology, "namespaces", tmp_path) as lab:
        def reaches(guest: str, version: str) -> bool:
            return lab.exec(guest, ["ping", f"-{version}", "-c", "1", "-W", "3", SERVER[version]])[0] == 0

        for guest, versions in REACHES.items():
            for version in versions:
                assert reaches(guest, version), (guest, version)
        defaults = lab.exec("homes", ["ip", "route", "show", "default"])[1].decode().splitlines()
        assert [line.split() for line in defaults] == [["default", "via", "10.0.0.1", "dev", "a"],
                                                       ["default", "via", "10.9.0.1", "dev", "far", "metric", "1"]]
        # The control: it is these routes that lead there.
        for guest, version, network in (("linklocal", "6", "default"), ("host4", "4", "default"), ("next6", "4", "10.9.0.0/16")):
            assert lab.exec(guest, ["ip", f"-{version}", "route", "del", network])[0] == 0
            assert not reaches(guest, version)


@pytest.mark.netns
def test_a_host_port_has_every_kind_of_route(scratch):
    routes = (("0.0.0.0/0", "169.254.1.1", 0, True), ("::/0", "fe80::1", 0, False), ("::/0", "fe80::2", 1025, False),
              ("10.8.0.0/16", "10.7.0.254"), ("10.8.0.0/16", "10.7.0.253", 1), ("10.9.0.0/16", "fe80::1"))
    step = TunCreate("lab", "", name="mgmt0", alias="vswitch:lab:host.mgmt", mac="02:00:00:00:00:77",
                     addresses=("10.7.0.1/24", "fd07::1/64"), routes=routes, namespace=scratch.name)
    host.perform(step)
    shown = [re.sub(r" proto \S+", "", " ".join(line.split())) for line in scratch.ip("route show").splitlines()]
    shown6 = [re.sub(r" proto \S+", "", " ".join(line.split())) for line in scratch.ip("-6 route show default").splitlines()]
    for wanted in ("default via 169.254.1.1 dev mgmt0", "10.8.0.0/16 via 10.7.0.254 dev mgmt0",
                   "10.8.0.0/16 via 10.7.0.253 dev mgmt0 metric 1", "10.9.0.0/16 via inet6 fe80::1 dev mgmt0"):
        assert any(line.startswith(wanted) for line in shown), (wanted, shown)
    assert [line.partition(" pref")[0].split(" linkdown")[0] for line in shown6] == [
        "default via fe80::1 dev mgmt0 metric 1024", "default via fe80::2 dev mgmt0 metric 1025"]
