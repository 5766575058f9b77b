"""A plan is the difference and nothing else: empty when there is none, one step for one cause, and each with a way back."""

from dataclasses import replace

import pytest

from tests.support.fake_machine import FakeMachine, host_of
from vswitch import reconcile
from vswitch.errors import HostError, PartlyAppliedError, RefusedError, TopologyError, WaitingError
from vswitch.plan import Interface, plan, undo
from vswitch.plan.interface_steps import Await, InterfaceSet, Shield, TapCreate, TapDelete, UplinkTake
from vswitch.plan.opposites import OPPOSITE
from vswitch.plan.switch_steps import PortAdd, PortRemove, PortReopen, PortSet, SwitchSet
from vswitch.plan.wanted import Wish
from vswitch.topology import loads

TEXT = """\
schema: vswitch/v1
name: t
uplinks: {wan: {interface: eth1}}
switches: {s1: {uplinks: [wan]}, s2: {}}
guests:
  a: {switch: s1}
  b: {switch: s1, vlan: 20}
  c: {switch: s2, tap: {name: c0, adopt: true}}
host: {mgmt: {switch: s1, addresses: [10.0.0.1/24]}}
"""
C0 = Interface("c0", 90, "tun")


class Host:
    """A host in memory and what was done to it since `forget`."""

    def __init__(self, text=TEXT):
        self.machine = FakeMachine(host_of(loads(text, "t.yaml"), C0))
        self.at_first = dict(self.machine.host.interfaces)

    def up(self, text=TEXT, **wish):
        return reconcile.up(text, "t.yaml", Wish(**wish), self.machine)

    def plan(self, text=TEXT, **wish):
        return plan(loads(text, "t.yaml"), self.machine.observe("t", ""), Wish(**wish))

    def down(self, **wish):
        return reconcile.down("t", Wish(**wish), self.machine)

    @property
    def state(self):
        return dict(self.machine.host.interfaces), dict(self.machine.switches)

    def change(self, name, **values):
        self.machine.host._set(name, **values)


@pytest.fixture
def host():
    host = Host()
    host.up()
    return host


def test_after_up_the_plan_is_empty(host):
    assert host.plan() == []


@pytest.mark.parametrize(("spoil", "step", "name"), [
    (lambda host: host.change("mgmt", up=False), InterfaceSet, "mgmt"),
    (lambda host: host.change("mgmt", addresses=()), InterfaceSet, "mgmt"),
    (lambda host: host.change("a-eth0", mtu=1400), InterfaceSet, "a-eth0"),
    (lambda host: host.change("a-eth0", up=False), Shield, "a-eth0"),
    (lambda host: host.change("eth1", shielded=False), Shield, "eth1"),
    (lambda host: host.change("c0", shielded=False), Shield, "c0"),
    (lambda host: host.machine._set("s1", config={**host.machine.switches["s1"].config, "ageing_s": 7}), SwitchSet, "s1"),
    (lambda host: host.machine._set("s2", ports={}), PortAdd, "c.eth0"),
    (lambda host: host.machine._set("s1", failures={"a.eth0": "it has gone down"}), PortReopen, "a.eth0"),
])
def test_one_thing_that_drifted_is_one_step_that_names_it(host, spoil, step, name):
    spoil(host)
    (found,) = host.plan()
    assert (type(found), found.object) == (step, name)
    assert name in found.words and found.why
    host.up()
    assert host.plan() == []


def test_the_tap_of_a_port_that_carries_tags_has_room_for_two(host):
    """A packet socket counts tags into the MTU of its interface; the port's own stays what the topology says."""
    text = TEXT.replace("host:", "  t: {switch: s2, role: router, vlan: {trunk: [5, 6], native: 7}}\nhost:")
    text = text.replace("c: {switch: s2", "c: {switch: s2, vlan: 5")
    host.up(text)
    interfaces, switches = host.state
    assert (interfaces["t-eth0"].mtu, interfaces["a-eth0"].mtu) == (1508, 1500)
    assert switches["s2"].ports["t.eth0"]["mtu"] == 1500
    assert host.plan(text) == []


def test_one_port_more_or_less_touches_no_other(host):
    more = TEXT.replace("host:", "  d: {switch: s1}\nhost:")
    before = host.state[1]["s1"].ports
    steps = host.up(more)
    assert {step.object for step in steps} == {"d-eth0", "d.eth0"}
    ports = host.state[1]["s1"].ports
    assert {name: ports[name] for name in before} == before
    steps = host.up(TEXT)
    assert {step.object for step in steps} == {"d-eth0", "d.eth0"}
    assert host.state[1]["s1"].ports == before


def test_a_port_that_comes_takes_the_lowest_free_index(host):
    index = host.state[1]["s1"].ports["a.eth0"]["index"]
    host.up(TEXT.replace("  a: {switch: s1}\n", ""))
    host.up(TEXT.replace("  a: {switch: s1}\n", "  e: {switch: s1}\n"))
    assert host.state[1]["s1"].ports["e.eth0"]["index"] == index


@pytest.mark.parametrize(("before", "after", "key"), [
    ("a: {switch: s1", "a: {switch: s1, isolated: true", "isolated"),
    ("a: {switch: s1", "a: {switch: s1, storm_control: off", "storm_control"),
    ("a: {switch: s1", "a: {switch: s1, promiscuous_mode: monitor", "promiscuous_mode"),
    ("a: {switch: s1", "a: {switch: s1, block: true", "block"),
    ("a: {switch: s1", "a: {switch: s1, reserved_multicast: [lldp]", "reserved_multicast"),
])
def test_a_changed_policy_is_set_while_frames_flow(host, before, after, key):
    (step,) = host.plan(TEXT.replace(before, after))
    assert isinstance(step, PortSet) and step.config.keys() == {key}
    assert step.interrupts == ("port" if key == "block" else "nothing")   # isolated: from nobody yet
    assert step.before.keys() == {key}


def test_a_step_says_what_differs_and_no_more(host):
    words = {step.words for step in host.plan(TEXT.replace("vlan: 20", "vlan: 30, block: true"))}
    assert "~ port b.eth0 on s1: vlan: 20 -> 30, block: false -> true" in words


def test_a_changed_mirror_is_set_on_its_switch(host):
    (step,) = host.plan(TEXT + "mirrors: {m: {from: a, to: b.eth0}}\n")
    assert isinstance(step, SwitchSet) and step.object == "s1" and step.config.keys() == {"mirrors"}


def test_what_cannot_change_in_place_is_made_anew_and_says_why(host):
    steps = host.plan(TEXT.replace("a: {switch: s1}", "a: {switch: s2}"))
    removed = [step for step in steps if isinstance(step, PortRemove)]
    assert [(step.port, step.why) for step in removed] == [("a.eth0", "it moves to s2")]
    assert steps.index(removed[0]) == 0                        # frames stop first


def test_down_gives_back_what_was_taken_and_removes_what_was_made(host):
    host.down()
    assert host.state == (host.at_first, {})
    assert host.down() == []


def test_another_topology_s_interfaces_are_left_alone(host):
    host.machine.host.interfaces["x-eth0"] = Interface("x-eth0", 91, "tun", alias="vswitch:other:x.eth0")
    host.down()
    assert host.state[0].keys() == {*host.at_first, "x-eth0"}


@pytest.mark.parametrize("kind", sorted(OPPOSITE, key=lambda kind: kind.__name__))
def test_every_step_has_its_way_back(kind):
    values = {"name": "x"} if "name" in kind.__dataclass_fields__ else {"switch": "s"}
    step = kind("t", "because", **values)
    back = undo(step)
    assert type(back) is OPPOSITE[kind] and back.object == step.object
    assert type(undo(back)) is kind
    assert step.words in back.why


@pytest.mark.parametrize("step", [
    InterfaceSet("t", "w", name="x", values={"mtu": 9000}, before={"mtu": 1500}),
    PortSet("t", "w", switch="s", port="p", config={"block": True}, before={"block": False}),
    SwitchSet("t", "w", switch="s", config={"ageing_s": 10}, before={"ageing_s": 300}),
])
def test_a_change_is_taken_back_by_the_change_back(step):
    back = undo(step)
    assert type(back) is type(step)
    assert replace(undo(back), why=step.why) == step


N_STEPS = len(Host().plan())


@pytest.mark.parametrize("n", range(N_STEPS))
def test_up_that_fails_at_any_step_is_undone(n):
    host = Host()
    broken = host.plan()[n]
    host.machine.host.fails = lambda step: step == broken
    with pytest.raises(Exception, match=r"cannot do|refused"):
        host.up()
    assert host.state == (host.at_first, {})
    host.machine.host.fails = lambda step: False
    assert len(host.up()) == N_STEPS                           # the control: nothing else stood in the way


def test_a_change_that_fails_leaves_what_was_up(host):
    before = host.state
    host.machine.host.fails = lambda step: isinstance(step, TapCreate)
    with pytest.raises(HostError):
        host.up(TEXT.replace("a: {switch: s1}", "a: {switch: s1, isolated: true}").replace("host:", "  d: {switch: s1}\nhost:"))
    assert host.state == before


def test_an_undo_that_fails_is_said_and_the_rest_is_undone():
    host = Host()
    host.machine.host.fails = lambda step: isinstance(step, TapDelete) or (isinstance(step, Shield) and step.name == "b-eth0")
    with pytest.raises(PartlyAppliedError, match=r"not taken back") as raised:
        host.up()
    assert raised.value.exit_code == 4
    assert set(host.state[0]) - set(host.at_first) <= {"a-eth0", "b-eth0"}
    assert host.state[1] == {}


@pytest.mark.parametrize(("interface", "words"), [
    (Interface("eth1", 2, addresses=("192.0.2.1/24",)), "carries 192.0.2.1/24"),
    (Interface("eth1", 2, wireless=True), "is a Wi-Fi adapter"),
    (Interface("eth1", 2, master="br0"), "belongs to br0"),
    (Interface("eth1", 2, kind="macvlan", parent="eth0"), "frames to its own address only; name the adapter below it, eth0"),
    (Interface("eth1", 2, kind="ipvlan"), "frames to its own address only"),
    (Interface("eth1", 2, kind="wireguard", is_ethernet=False), "carries no Ethernet frames"),
    (Interface("eth1", 2, kind="tun", is_ethernet=False), "carries no Ethernet frames"),
    (Interface("eth1", 2, kind="vrf"), "carries no Ethernet frames"),
    (Interface("eth1", 2, mtu_max=1400), "can carry an MTU of 1400 at most, and its switch needs 1500"),
    (Interface("eth1", 2, alias="vswitch:other:wan"), "is used by port wan of other"),
])
def test_an_adapter_that_cannot_be_used_is_refused_at_its_place(interface, words):
    host = Host()
    host.machine.host.interfaces["eth1"] = interface
    before = host.state
    with pytest.raises(TopologyError, match=words) as raised:
        host.up()
    assert raised.value.mistakes[0].startswith("t.yaml:3:11: wan: ")
    assert host.state == before and not host.machine.host.performed


def test_the_adapters_of_a_lab_are_made_after_its_plan():
    host = Host()
    del host.machine.host.interfaces["eth1"]
    assert "uplink eth1" in " ".join(step.words for step in host.plan(namespace="box", lab="namespaces"))
    assert "uplink eth1" not in " ".join(step.words for step in host.plan())         # the control: on the host itself


@pytest.mark.parametrize("is_optional", [False, True])
def test_an_absent_adapter_costs_its_own_port_and_no_other(is_optional):
    host = Host()
    text = TEXT.replace("interface: eth1", "interface: eth1, optional: true") if is_optional else TEXT
    adapter = host.machine.host.interfaces.pop("eth1")
    if is_optional:
        host.up(text)
    else:
        with pytest.raises(WaitingError, match=r"port wan waits for eth1: there is no interface eth1.*optional: true") as raised:
            host.up(text)
        assert raised.value.exit_code == 4 and raised.value.names == {"eth1"}
    assert "a-eth0" in host.state[0] and "wan" not in host.state[1]["s1"].ports
    (waiting,) = host.plan(text)
    assert isinstance(waiting, Await) and waiting.optional is is_optional
    host.machine.host.interfaces["eth1"] = adapter
    assert any(isinstance(step, UplinkTake) for step in host.up(text))
    assert host.plan(text) == []


def test_an_absent_tap_to_adopt_costs_its_own_port():
    host = Host()
    tap = host.machine.host.interfaces.pop("c0")
    with pytest.raises(WaitingError, match="there is no interface c0 to adopt"):
        host.up()
    host.machine.host.interfaces["c0"] = tap
    host.up()
    assert host.plan() == []


@pytest.mark.parametrize(("key", "words"), [
    ("tap: {owner: nosuch}", "there is no user `nosuch`"), ("tap: {group: nosuch}", "there is no group `nosuch`"),
    ("attach: vhost_user, socket: {owner: nosuch}", "there is no user `nosuch`"),
])
def test_accounts_that_do_not_exist_are_refused_before_anything_is_done(key, words):
    host = Host()
    text = TEXT.replace("a: {switch: s1}", f"a: {{switch: s1, {key}}}")
    with pytest.raises(TopologyError, match=words):
        host.up(text)
    assert not host.machine.host.performed
    assert host.plan(text.replace("nosuch", "root"))     # the control


def test_force_takes_an_adapter_with_an_address():
    host = Host()
    host.change("eth1", addresses=("192.0.2.1/24",))
    assert any(isinstance(step, UplinkTake) and step.force for step in host.up(force=True))


def test_a_tap_that_a_guest_holds_stays(host):
    host.change("a-eth0", carrier=True, holder="qemu-system-x86 (pid 7)")
    before = host.state
    with pytest.raises(RefusedError, match=r"a-eth0 is held open by qemu-system-x86 \(pid 7\)"):
        host.down()
    assert host.state == before
    host.down(force=True)
    assert "a-eth0" not in host.state[0]
