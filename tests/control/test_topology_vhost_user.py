"""`attach: vhost_user`: a guest's port with a socket in the place of a TAP, from the file to the plan and to QEMU's line."""

import pytest

from tests.support.fake_host import FakeHost
from tests.support.fake_machine import FakeMachine
from vswitch import reconcile
from vswitch.cli.libvirt import libvirt_xml
from vswitch.cli.qemu import qemu_arguments, shared_memory
from vswitch.errors import TopologyError
from vswitch.plan.wanted import Wish, wanted_ports
from vswitch.topology import loads, resolved_text
from vswitch.topology.model import Socket

HEAD = "schema: vswitch/v1\nname: t\nswitches: {s: {}}\n"
FILE = HEAD + """\
guests:
  a: {switch: s, attach: vhost_user}
  b: {switch: s, attach: vhost_user, mtu: 9000,
      socket: {path: /run/b.sock, owner: "7", listen: qemu, unsealed: accept, queues: 4}}
  c: {switch: s}
"""


def test_a_port_has_a_socket_and_no_tap():
    ports = loads(FILE, "t.yaml").ports
    assert ports["a.eth0"].socket == Socket("/run/vswitch/guests/a.eth0.sock")
    assert ports["b.eth0"].socket == Socket("/run/b.sock", "7", "qemu", "accept", 4)
    assert ports["a.eth0"].tap is None and ports["a.eth0"].interface == "/run/vswitch/guests/a.eth0.sock"
    assert ports["c.eth0"].socket is None and ports["c.eth0"].tap is not None


def test_written_out_it_means_the_same():
    before = loads(FILE, "t.yaml")
    after = loads(resolved_text(before), "t.yaml")
    for name, port in before.ports.items():
        assert (after.ports[name].socket, after.ports[name].tap) == (port.socket, port.tap)


def test_the_data_plane_gets_a_socket_of_whoever_asked():
    wanted = wanted_ports(loads(FILE, "t.yaml"), Wish(owner="me"))
    assert wanted["a.eth0"].config["socket"] == {
        "path": "/run/vswitch/guests/a.eth0.sock", "owner": "me", "listen": "switch", "unsealed": "reject", "queues": 1}
    assert (wanted["b.eth0"].config["socket"]["owner"], wanted["b.eth0"].config["socket"]["queues"]) == ("7", 4)
    assert wanted["c.eth0"].config["socket"] is None
    assert [port.driver for port in wanted.values()] == ["vhost_user", "vhost_user", "packet"]


def test_the_plan_makes_no_interface_for_it_and_a_changed_socket_makes_the_port_anew():
    machine = FakeMachine(FakeHost())
    steps = [step.words for step in reconcile.up(FILE, "t.yaml", Wish(), machine)]
    assert [words for words in steps if "a.eth0" in words] == ["+ port a.eth0 on s (/run/vswitch/guests/a.eth0.sock)"]
    assert any(words.startswith("+ tap c-eth0") for words in steps)
    assert reconcile.up(FILE, "t.yaml", Wish(), machine) == []
    moved = FILE.replace("/run/b.sock", "/run/other.sock")
    assert [step.words for step in reconcile.up(moved, "t.yaml", Wish(), machine)] == [
        "- port b.eth0 from s (/run/b.sock)", "+ port b.eth0 on s (/run/other.sock)"]
    assert "- port a.eth0 from s (/run/vswitch/guests/a.eth0.sock)" in [
        step.words for step in reconcile.down("t", Wish(), machine)]


@pytest.mark.parametrize(("guests", "words"), [
    ("a: {switch: s, socket: /run/a.sock}", "a socket is for `attach: vhost_user`"),
    ("a: {switch: s, attach: vhost_user, socket: a.sock}", "no absolute path"),
    (f"a: {{switch: s, attach: vhost_user, socket: /run/{'a' * 110}}}", "a socket's path has at most 107"),
    ("a: {switch: s, attach: vhost_user, socket: {path: /run/a, listen: nobody}}", "listen"),
    ("a: {switch: s, attach: vhost_user, socket: {path: /run/a, colour: red}}", "unknown key `colour`"),
    ("a: {switch: s, attach: vhost_user, socket: {path: /run/a, queues: 9}}", "9 is out of range; expected 1 to 8"),
    ("a: {switch: s, attach: vhost_user, count: 2, socket: /run/a}", "socket `/run/a` of `a-2.eth0` is that of `a-1.eth0` too"),
    (f"{'a' * 60}: {{switch: s, attach: vhost_user, nics: {{}}}}", ""),
], ids=str)
def test_mistakes(guests, words):
    with pytest.raises(TopologyError) as caught:
        loads(HEAD + f"guests:\n  {guests}\n", "t.yaml")
    assert words in str(caught.value)
    loads(HEAD + "guests:\n  a: {switch: s, attach: vhost_user, socket: /run/a.sock}\n", "t.yaml")


def test_a_lab_of_namespaces_says_that_it_has_no_such_guest():
    with pytest.raises(TopologyError, match="--lab=qemu"):
        reconcile.up(FILE, "t.yaml", Wish(lab="namespaces", namespace="box"), FakeMachine(FakeHost()))
    assert reconcile.up(FILE, "t.yaml", Wish(lab="qemu"), FakeMachine(FakeHost()))


def test_qemu_and_libvirt():
    topology = loads(FILE.replace("a: {switch", "a: {run: {memory: 2GiB}, switch"), "t.yaml")
    a, b, c = topology.ports.values()
    assert qemu_arguments(topology, a)[:4] == [
        "-chardev", "socket,id=a-eth0-socket,path=/run/vswitch/guests/a.eth0.sock,reconnect=1",
        "-netdev", "vhost-user,id=a-eth0,chardev=a-eth0-socket"]
    assert qemu_arguments(topology, b)[3] == "vhost-user,id=b-eth0,chardev=b-eth0-socket,queues=4"
    assert ",mq=on,vectors=10" in qemu_arguments(topology, b)[5] and ",mq=on" not in qemu_arguments(topology, a)[5]
    assert "server=on,wait=off" in qemu_arguments(topology, b)[1] and "host_mtu=9000" in qemu_arguments(topology, b)[5]
    assert shared_memory(topology, "a")[1] == "memory-backend-memfd,id=memory,size=2G,share=on"
    assert shared_memory(topology, "c") == []
    assert "type='vhostuser'" in libvirt_xml(topology, a) and "mode='client'" in libvirt_xml(topology, a)
    assert "mode='server'" in libvirt_xml(topology, b)
    assert "<driver queues='4'/>" in libvirt_xml(topology, b) and "<driver" not in libvirt_xml(topology, a)
    assert "type='ethernet'" in libvirt_xml(topology, c)
