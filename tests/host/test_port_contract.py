"""What every port driver promises (dataplane/ports/port.pxd), tried on each of them with the same words.

Port `x` has the driver under test and a peer at its other end; port `m` is made of memory.
"""

from __future__ import annotations

import os

import pytest

from tests.support.frames import B, C, D, frame, tag
from tests.support.memory_switch import MemorySwitch, vlan_config
from tests.support.peers import PacketPeer, TunPeer
from tests.support.waiting import eventually, wait_until

pytestmark = pytest.mark.netns

ALL = vlan_config(tagged=[(1, 4094)], native=1)


def numbered(n: int, octets: int = 60) -> list[bytes]:
    return [frame(src=D, payload=(at.to_bytes(4, "big") * (octets // 4 + 1))[: octets - 14]) for at in range(n)]


def arrived(switch: MemorySwitch, n: int) -> list[bytes]:
    """What leaves port `m` until `n` frames have left."""
    found: list[bytes] = []

    def has_all() -> bool:
        switch.core.step(switch.now_ns)
        found.extend(switch.core.driver("m").take())
        return len(found) >= n

    wait_until(has_all, 3.0)
    return found


def test_nothing_to_read_is_no_error(peer, switch):
    switch.port("m")
    peer.attach()
    for _ in range(100):
        switch.core.step(switch.now_ns)
    count = switch.core.counters("x")
    assert (count["rx_frames"], count["bursts"], count["errors"]) == (0, 0, 0)
    peer.send(frame())
    assert arrived(switch, 1) == [frame()]
    assert switch.core.counters("x")["bursts"] == 1


@pytest.mark.parametrize("octets", [60, 61, 64, 65, 128, 129, 1500, 1514])
def test_frames_pass_whole_and_in_order_both_ways(peer, switch, octets):
    """More of them than one burst holds."""
    switch.port("m")
    peer.attach()
    frames = numbered(150, octets)
    for each in frames:
        peer.send(each)
    assert arrived(switch, 150) == frames
    switch.send("m", *frames)
    assert peer.receive_all(150) == frames
    count = switch.core.counters("x")
    assert (count["rx_frames"], count["tx_frames"], count["errors"]) == (150, 150, 0)
    assert count["rx_bytes"] == count["tx_bytes"] == 150 * octets


def test_a_port_does_not_hear_itself(peer, switch):
    switch.port("m")
    peer.attach()
    switch.send("m", *numbered(10))
    assert len(peer.receive_all(10)) == 10
    switch.core.step(switch.now_ns)
    assert switch.core.counters("x")["rx_frames"] == 0


@pytest.mark.parametrize("tags", [tag(10, 5), tag(4094, 7), tag(10) + tag(20, 1), tag(10) + tag(20, tpid=0x88A8)], ids=bytes.hex)
def test_tags_come_and_go_as_they_are(peer, switch, tags):
    """In whatever way the kernel carries the outer one."""
    switch.port("m", vlan=ALL)
    peer.attach(vlan=ALL)
    octets = frame(tags=tags, payload=bytes(range(100)))
    peer.send(octets)
    assert arrived(switch, 1) == [octets]
    switch.send("m", octets)
    assert peer.receive_all(1) == [octets]


def test_tags_are_put_on_and_taken_off(peer, switch):
    switch.port("m", access=10)
    peer.attach(vlan=ALL)
    peer.send(frame(tags=tag(10, 5)))
    assert arrived(switch, 1) == [frame()]
    switch.send("m", frame())
    assert peer.receive_all(1) == [frame(tags=tag(10))]
    peer.send(frame(tags=tag(0, 5)))                 # a priority tag is no VLAN: this one is in the native VLAN
    peer.send(frame(tags=tag(4095)))
    peer.send(frame(tags=tag(20, tpid=0x88A8)))
    peer.send(frame(tags=tag(10)))
    assert arrived(switch, 1) == [frame()]


def test_what_is_too_long_has_its_reason_and_the_next_frame_passes(peer, switch):
    switch.port("m", mtu=9000)
    peer.attach()
    short, long = numbered(1, 1514)[0], numbered(1, 1515)[0]
    switch.send("m", long, short)
    assert peer.receive_all(1) == [short]
    assert switch.drops("m") == {"oversize": 1}


def test_the_mtu_changes_while_frames_flow(peer, switch):
    switch.port("m", mtu=9000)
    peer.attach()
    jumbo = numbered(3, 9014)
    peer.set_mtu(9000)
    switch.set("x", mtu=9000)
    switch.send("m", *jumbo)
    assert peer.receive_all(3) == jumbo
    for each in jumbo:
        peer.send(each)
    assert arrived(switch, 3) == jumbo
    peer.set_mtu(1500)
    switch.set("x", mtu=1500)
    switch.send("m", *jumbo, *numbered(1))
    assert peer.receive_all(1) == numbered(1)
    assert switch.drops("m") == {"oversize": 3}


def test_an_interface_with_a_smaller_mtu_than_its_port_harms_one_frame_only(peer, switch):
    """Somebody has set it by hand: what the kernel refuses for good has a reason, and what follows is sent."""
    switch.port("m", mtu=9000)
    peer.attach()
    switch.set("x", mtu=9000)
    short = numbered(2)
    switch.send("m", short[0], numbered(1, 9014)[0], short[1])
    received = peer.receive_all(3 if not peer.has_interface else 2)
    assert [octets for octets in received if len(octets) == 60] == short
    count = switch.core.counters("x")
    assert count["tx_frames"] + sum(switch.tx_drops("x").values()) == 3
    assert set(switch.tx_drops("x")) <= {"oversize"}
    assert count["errors"] == 0


def test_a_receiver_that_does_not_read_loses_frames_of_its_own(peer, switch):
    """Partial tx: what was taken arrives, in order and once; what was not is kept or has a reason; nobody waits."""
    switch.port("m")
    switch.port("other")
    peer.attach()
    peer.stall()
    frames = numbered(6000, 1000)
    for start in range(0, 6000, 60):
        switch.send("m", *frames[start : start + 60])
    assert switch.core.driver("other").take() == frames
    count, refused = switch.core.counters("x"), switch.tx_drops("x")
    n_waiting = 6000 - count["tx_frames"] - sum(refused.values())
    assert (n_waiting, set(refused)) == ((0, set()) if isinstance(peer, TunPeer) else (256, {"tx_queue_full"}))
    assert count["tx_kept"] >= n_waiting             # some of those that waited have gone since
    assert count["errors"] == 0
    peer.resume()
    received, n_lost = [], 0

    def has_all() -> bool:
        nonlocal n_lost
        received.extend(peer.receive_waiting())
        n_lost += peer.n_lost()
        return len(received) + n_lost == 6000 - sum(refused.values())

    eventually(has_all)
    assert switch.core.counters("x")["tx_frames"] == len(received) + n_lost
    place = {octets: at for at, octets in enumerate(frames)}
    places = [place[octets] for octets in received]
    assert places == sorted(set(places))
    switch.send("m", *frames[:10])                   # and then it goes on as before
    assert peer.receive_all(10) == frames[:10]


def test_a_device_that_is_gone_takes_its_port_down_and_no_other(peer, switch):
    switch.port("m")
    switch.port("other")
    peer.attach()
    switch.send("m", frame())
    assert peer.receive_all(1) == [frame()]
    peer.vanish()

    def is_gone() -> bool:
        switch.send("m", frame())
        return next(port for port in switch.core.ports() if port["config"]["name"] == "x")["state"] == peer.when_gone

    eventually(is_gone)
    (port,) = [port for port in switch.core.ports() if port["config"]["name"] == "x"]
    assert port["errno"] > 0 or peer.when_gone == "waiting"
    switch.core.driver("other").take()
    switch.send("m", frame())
    switch.send("other", frame(src=B))
    assert switch.core.driver("other").take() == [frame()]
    assert switch.core.driver("m").take() == [frame(src=B)]
    switch.core.port_remove("x")


def test_close_may_come_twice_and_closes_once(peer, switch):
    switch.port("m")
    peer.attach()
    fds = list(peer.driver.fds)
    assert bool(fds) == peer.has_interface
    switch.core.port_remove("x")
    for fd in fds:
        with pytest.raises(OSError):
            os.fstat(fd)
    others = [os.open("/dev/null", os.O_RDONLY) for _ in fds]        # the numbers are somebody else's now
    peer.driver.close()
    for fd in others:
        os.fstat(fd)
        os.close(fd)
    switch.send("m", frame())
    assert switch.drops("m") == {"no_receiver": 1}


def test_a_tap_that_its_guest_does_not_read_says_that_it_is_full(switch, scratch):
    """Each frame is in the TAP or has its reason; none is lost in silence, and few cost a system call that fails."""
    peer = PacketPeer(switch, scratch)
    peer.attach()
    switch.port("m")
    frames = numbered(4096)
    for start in range(0, 4096, 64):
        switch.send("m", *frames[start : start + 64])
    received = peer.receive_waiting()
    count = switch.core.counters("x")
    assert received == frames[: len(received)]
    assert 0 < len(received) == count["tx_frames"] == 4096 - switch.tx_drops("x")["tx_queue_full"]
    assert 0 < peer.n_lost() < 8 * 64                # refused by the kernel; the rest has not been tried
    switch.send("m", *frames[:64])                   # the control: what is read has room again
    assert peer.receive_all(64) == frames[:64]
    assert switch.tx_drops("x")["tx_queue_full"] == 4096 - len(received)
    peer.close()


# A guest that goes and comes back is not an error; its TAP stays.

def test_frames_to_an_unplugged_tap_are_no_errors_and_flow_again_after(switch, scratch):
    peer = PacketPeer(switch, scratch)
    peer.attach()
    switch.port("m")
    peer.unplug()
    for _ in range(20):
        switch.send("m", *numbered(10))
    assert switch.core.counters("x")["errors"] == 0
    peer.plug()

    def flows() -> bool:
        switch.send("m", frame(src=C))
        return frame(src=C) in peer.receive_all(1)

    eventually(flows)
    assert [port["state"] for port in switch.core.ports()] == ["up", "up"]
    peer.close()
