"""Every file in topologies/: valid, opens with its drawing, ends with what it expects, means the same when written out, and
is planned from nothing to everything and back."""

import pytest

from tests.support.fake_machine import FakeMachine, host_of
from tests.support.topologies import FILES
from vswitch import reconcile
from vswitch.plan import plan
from vswitch.plan.wanted import Wish, switch_configuration, wanted_ports
from vswitch.topology import load, loads, resolved_text
from vswitch.topology.resolved import resolved

pytestmark = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_there_are_files_and_each_opens_with_a_drawing(file):
    assert len(FILES) >= 6
    head = file.read_text().partition("schema:")[0]
    assert all(line.startswith("#") for line in head.strip().splitlines())
    assert any(letter in head for letter in "─│└┤")
    assert load(file).name == file.stem


def test_each_expects_something_both_that_it_is_and_that_it_is_not(file):
    expected = load(file).expectations
    assert any(one.reach not in (None, False) for one in expected)
    if file.stem not in ("two-guests", "learning"):            # in which nobody is kept from anybody
        assert any(one.reach is False or one.only_via or one.isolated or one.no_shared_contact for one in expected)


def test_written_out_it_means_the_same(file):
    before = load(file)
    after = loads(resolved_text(before), "resolved.yaml")
    for wish in (Wish(), Wish(lab="namespaces", namespace="box")):
        assert ({name: port.config for name, port in wanted_ports(before, wish).items()}
                == {name: port.config for name, port in wanted_ports(after, wish).items()})
    assert ([switch_configuration(before, switch) for switch in before.switches.values()]
            == [switch_configuration(after, switch) for switch in after.switches.values()])
    assert [one.text for one in before.expectations] == [one.text for one in after.expectations]
    assert resolved(after) == resolved(before)


@pytest.mark.parametrize("lab", [None, "namespaces", "qemu"])
def test_up_makes_everything_once_and_down_leaves_nothing(file, lab):
    topology = load(file)
    machine = FakeMachine(host_of(topology))
    before = dict(machine.host.interfaces)
    wish = Wish(lab=lab)
    steps = reconcile.up(file.read_text(), str(file), wish, machine)
    assert {port for switch in machine.switches.values() for port in switch.ports} == set(topology.ports)
    assert all(step.why for step in steps)
    assert plan(topology, machine.observe(topology.name, ""), wish) == []
    reconcile.down(topology.name, wish, machine)
    assert (machine.host.interfaces, machine.switches) == (before, {})
