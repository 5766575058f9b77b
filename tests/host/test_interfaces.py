"""Kernel objects: made with their mark, owned, taken and given back as they were; what is not ours stays."""

from __future__ import annotations

import os
import pwd
import queue
from dataclasses import replace

import pytest

from tests.support.scratch import Scratch
from tests.support.waiting import eventually
from vswitch import host
from vswitch.errors import HostError, RefusedError
from vswitch.host.namespaces import inside
from vswitch.host.sockets import open_packet
from vswitch.plan import owner_of, undo
from vswitch.plan.interface_steps import InterfaceSet, Shield, TapAdopt, TapCreate, TunCreate, UplinkTake
from vswitch.plan.steps import Step
from vswitch.plan.switch_steps import PortAdd

pytestmark = pytest.mark.netns
MARK = "vswitch:lab:vm1.eth0"


def tap(scratch: Scratch, **values: object) -> TapCreate:
    return replace(TapCreate("lab", "", name="vm1-eth0", alias=MARK, owner="root", namespace=scratch.name), **values)


def take_back(step: Step) -> None:
    host.perform(undo(step))


def test_a_tap_has_its_mark_its_owner_and_its_mtu(scratch):
    user = pwd.getpwuid(65534).pw_name
    host.perform(tap(scratch, owner=user, mtu=9000))
    seen = host.observe(scratch.name)["vm1-eth0"]
    assert (seen.alias, seen.owner_name, seen.group, seen.mtu, seen.up, seen.persistent) == (MARK, user, None, 9000, False, True)
    assert seen.mac and not seen.multi_queue


def test_what_has_gone_by_itself_is_removed_already(scratch):
    """An adapter is pulled out, a TAP ends with its guest, between the plan and its step."""
    steps = [Shield("lab", "", name="vm1-eth0", namespace=scratch.name), tap(scratch),
             TapAdopt("lab", "", name="vm1-eth0", alias=MARK, namespace=scratch.name),
             TunCreate("lab", "", name="vm1-eth0", alias=MARK, namespace=scratch.name),
             UplinkTake("lab", "", name="vm1-eth0", alias=MARK, namespace=scratch.name)]
    for step in steps:
        take_back(step)
    scratch.ip("link add vm1-eth0 type veth peer name other")  # the control: one of that name that is not ours
    with pytest.raises(RefusedError, match="not ours"):
        take_back(tap(scratch))
    with pytest.raises(HostError, match="no interface"):
        host.perform(Shield("lab", "", name="vm2-eth0", namespace=scratch.name))


def test_a_tap_may_belong_to_a_group_and_have_several_queues(scratch):
    host.perform(tap(scratch, owner=None, group="root", queues=4))
    seen = host.observe(scratch.name)["vm1-eth0"]
    assert (seen.owner, seen.group, seen.multi_queue) == (None, 0, True)


def test_an_unknown_owner_leaves_nothing_behind(scratch):
    with pytest.raises(HostError, match="no user nobody-here"):
        host.perform(tap(scratch, owner="nobody-here"))
    assert "vm1-eth0" not in host.observe(scratch.name)
    host.perform(tap(scratch))                                 # the control
    assert "vm1-eth0" in host.observe(scratch.name)


def test_a_tap_that_is_there_is_not_made_again(scratch):
    scratch.ip("tuntap add vm1-eth0 mode tap")
    with pytest.raises(HostError, match="cannot create tap vm1-eth0"):
        host.perform(tap(scratch))
    assert host.observe(scratch.name)["vm1-eth0"].alias == ""


def test_an_open_tap_is_not_removed_under_its_guest(scratch):
    step = tap(scratch)
    host.perform(step)
    removal = replace(undo(step), force=False)
    with scratch.guest("vm1-eth0"):
        with pytest.raises(RefusedError, match=rf"held open by \S+ \(pid {os.getpid()}\)"):
            host.perform(removal)
        assert host.observe(scratch.name)["vm1-eth0"].holder.endswith(f"(pid {os.getpid()})")
    host.perform(removal)                                      # the control: closed, it goes
    assert "vm1-eth0" not in host.observe(scratch.name)


def test_what_lost_its_mark_is_not_ours_to_remove(scratch):
    step = tap(scratch)
    host.perform(step)
    scratch.ip("link set vm1-eth0 alias somebody-elses")
    with pytest.raises(RefusedError, match="not ours any more"):
        take_back(step)
    scratch.ip(f"link set vm1-eth0 alias {MARK}")
    take_back(step)
    assert "vm1-eth0" not in host.observe(scratch.name)


@pytest.mark.parametrize(("up", "alias"), [("up", "cable, 3rd floor: blue"), ("down", "")])
def test_an_adapter_is_given_back_as_it_was(scratch, up, alias):
    scratch.ip("link add eth1 mtu 1400 type veth peer name far")
    if alias:
        inside(scratch.name, lambda: host.perform.__globals__["netlink"].set_link("eth1", ifalias=alias))
    scratch.ip(f"link set eth1 {up}")
    before = host.observe(scratch.name)["eth1"]
    steps: list[Step] = [
        UplinkTake("lab", "", name="eth1", alias="vswitch:lab:adapter", mtu=9000, namespace=scratch.name),
        Shield("lab", "", name="eth1", namespace=scratch.name),
    ]
    for step in steps:
        host.perform(step)
    taken = host.observe(scratch.name)["eth1"]
    assert (taken.mtu, taken.up, taken.shielded) == (9000, True, True)
    owner = owner_of(taken.alias)
    assert owner is not None and (owner.topology, owner.port, owner.taken) == ("lab", "adapter", True)
    for step in reversed(steps):
        take_back(step)
    assert host.observe(scratch.name)["eth1"] == before


def test_an_adopted_tap_is_released_and_stays(scratch):
    scratch.ip("tuntap add tap7 mode tap user 65534")
    before = host.observe(scratch.name)["tap7"]
    step = TapAdopt("lab", "", name="tap7", alias=MARK, namespace=scratch.name)
    host.perform(step)
    assert owner_of(host.observe(scratch.name)["tap7"].alias) is not None
    take_back(step)
    assert host.observe(scratch.name)["tap7"] == before


def discipline(scratch, interface: str) -> str:
    """The one at the root of an interface."""
    return scratch.tc(f"qdisc show dev {interface} root").split()[1]


def test_a_guests_tap_has_nothing_before_it_that_hides_when_it_is_full(scratch):
    scratch.ip("tuntap add tap7 mode tap user 65534")
    scratch.ip("tuntap add tap8 mode tap user 65534")
    scratch.tc("qdisc add dev tap8 root pfifo limit 5")
    for name in ("tap7", "tap8"):
        scratch.ip(f"link set {name} up")            # one that is down has none to be seen
    default = discipline(scratch, "tap7")
    steps = [TapCreate("lab", "", name="tap1", alias="vswitch:lab:one.eth0", owner="root", namespace=scratch.name),
             TapCreate("lab", "", name="tap4", alias="vswitch:lab:four.eth0", owner="root", queues=4, namespace=scratch.name),
             TapAdopt("lab", "", name="tap7", alias="vswitch:lab:seven.eth0", namespace=scratch.name),
             TapAdopt("lab", "", name="tap8", alias="vswitch:lab:eight.eth0", namespace=scratch.name),
             TunCreate("lab", "", name="mgmt0", alias="vswitch:lab:host.mgmt", namespace=scratch.name)]
    for step in steps:
        host.perform(step)
        host.perform(Shield("lab", "", name=step.name, namespace=scratch.name))
    for name in ("tap1", "tap4", "tap7"):
        assert discipline(scratch, name) == "noqueue"
    # What somebody has chosen stays; and a host that sends too much waits.
    assert discipline(scratch, "tap8") == "pfifo"
    assert discipline(scratch, "mgmt0") == default != "noqueue"
    for step in steps:
        take_back(step)
    assert (discipline(scratch, "tap7"), discipline(scratch, "tap8")) == (default, "pfifo")


def test_a_host_port_has_its_addresses_and_routes(scratch):
    step = TunCreate("lab", "", name="mgmt0", alias="vswitch:lab:host.mgmt", mac="02:00:00:00:00:77",
                     addresses=("10.7.0.1/24", "fd07::1/64"), routes=(("10.8.0.0/16", "10.7.0.254"),), namespace=scratch.name)
    host.perform(step)
    seen = host.observe(scratch.name)["mgmt0"]
    assert (seen.mac, set(seen.addresses), seen.up) == (step.mac, set(step.addresses), True)
    assert "10.8.0.0/16 via 10.7.0.254" in scratch.ip("route show")
    change = InterfaceSet("lab", "", name="mgmt0", namespace=scratch.name, values={"addresses": ("10.7.0.2/24",), "mtu": 9000},
                          before={"addresses": step.addresses, "mtu": 1500})
    host.perform(change)
    assert host.observe(scratch.name)["mgmt0"].addresses == ("10.7.0.2/24",)
    take_back(change)
    assert set(host.observe(scratch.name)["mgmt0"].addresses) == set(step.addresses)
    take_back(step)
    assert "mgmt0" not in host.observe(scratch.name)


def test_a_temporary_interface_dies_with_its_last_fd(scratch):
    step = PortAdd("lab", "", interface="vm1-eth0", namespace=scratch.name, temporary=True,
                   config={"driver": "tun", "role": "guest", "mtu": 4000})
    [fd] = host.open_port(step)
    assert host.observe(scratch.name)["vm1-eth0"].mtu == 4000
    copy = os.dup(fd)
    os.close(fd)
    assert "vm1-eth0" in host.observe(scratch.name)
    os.close(copy)
    eventually(lambda: "vm1-eth0" not in host.observe(scratch.name))


def test_a_port_opens_no_interface_that_is_not_there(scratch):
    step = PortAdd("lab", "", interface="vm1-eth0", namespace=scratch.name, config={"driver": "tun", "role": "host", "mtu": 1500})
    with pytest.raises(HostError, match="no interface vm1-eth0"):
        host.open_port(step)
    with pytest.raises(HostError, match="cannot open a packet socket on vm1-eth0: No such device"):
        inside(scratch.name, lambda: open_packet("vm1-eth0", is_promiscuous=False))


def test_carriers_are_told(scratch):
    told: queue.Queue[tuple[str, bool]] = queue.Queue()
    host.perform(tap(scratch))
    host.perform(Shield("lab", "", name="vm1-eth0", namespace=scratch.name))
    watch = host.watch_links(scratch.name, lambda name, has_carrier: told.put((name, has_carrier)))
    try:
        with scratch.guest("vm1-eth0"):
            eventually(lambda: ("vm1-eth0", True) in list(told.queue))
            assert host.carrier("vm1-eth0", scratch.name)
        eventually(lambda: list(told.queue)[-1:] == [("vm1-eth0", False)])
        assert not host.carrier("vm1-eth0", scratch.name)
    finally:
        watch.close()


def test_a_namespace_that_is_not_there_has_no_interfaces():
    assert host.observe("vs-no-such-namespace") == {}
    with pytest.raises(HostError, match="no network namespace vs-no-such-namespace"):
        inside("vs-no-such-namespace", lambda: None)
