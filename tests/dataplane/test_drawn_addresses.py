"""`ip_binding` and the addresses that nobody can write down: drawn at random, in a prefix, or shared by two guests."""

from __future__ import annotations

import pytest

from tests.support.frames import BROADCAST, A, B, C, frame, mac
from tests.support.guards import assert_let_pass, assert_refused
from tests.support.packets import ARP, ICMPV6, IPV4, IPV6, UDP, address, arp, ipv4, ipv6, neighbour, option, udp

LOCAL, LOCAL_2 = "fe80::3c5d:1f2e:9a8b:7c6d", "fe80::1234:5678:9abc:def0"
PRIVATE = [f"2001:db8:0:1:{n:x}ead:beef:1:2" for n in range(1, 12)]
WRITTEN = ["10.0.0.1/24", "2001:db8:0:1::1/64"]


def v6(source, rest=None, following=UDP, src=A):
    return frame(B, src, ethertype=IPV6, payload=ipv6(source, "2001:db8:0:1::2", following, rest or udp(1, 2)))


def v4(source, src=A):
    return frame(B, src, ethertype=IPV4, payload=ipv4(source, "10.0.0.2", UDP, udp(1, 2)))


def detection(target):
    return v6("::", neighbour(135, target), ICMPV6)


@pytest.fixture
def bound(switch):
    switch.port("a", ip_binding="reject", addresses=WRITTEN, guest="a")
    switch.port("b", unbound_addresses=["10.0.0.2/24", "2001:db8:0:1:aaaa:bbbb:cccc:dddd/64"], guest="b")
    switch.send("b", frame(A, B))
    switch.sent()
    return switch


def passes(switch, octets, port="a"):
    switch.send(port, octets)
    return bool(switch.sent())


@pytest.mark.parametrize("octets", [
    v6(LOCAL), detection(LOCAL), v6(LOCAL, neighbour(135, "fe80::2", option(1, A)), ICMPV6), v6("fe80::dead:beef"),
    v6(PRIVATE[0]), detection(PRIVATE[0]), v6("2001:db8:0:1:0:ff:fe00:a"),
    v4("169.254.7.7"), arp("169.254.7.7", target="169.254.7.7"), arp("0.0.0.0", target="169.254.7.7"),
], ids=range(10))
def test_what_a_guest_makes_by_itself(bound, octets):
    assert_let_pass(bound, octets)


@pytest.mark.parametrize("octets", [
    v6("fe80::1"), v6("fe80::ffff"), detection("fe80::1"),              # addresses that people choose, a gateway's for one
    v6("2001:db8:0:1::2"), v6("2001:db8:0:1::53"),
    v6("fe80::ff:fe00:b"), v6("2001:db8:0:1:0:ff:fe00:b"),              # made from another's MAC address
    v6("2001:db8:0:1:aaaa:bbbb:cccc:dddd"),                             # written for another port
    v6("2001:db8:0:2:dead:beef:1:2"), v6("fe80:0:0:1:dead:beef:1:2"),   # in no /64 of the port
    v4("169.254.0.5"), v4("169.254.255.5"), v4("10.0.0.9"),             # RFC 3927, 2.1: not to be used
], ids=range(13))
def test_what_it_does_not(bound, octets):
    assert_refused(bound, "ip_binding", octets)


def test_only_the_first_link_local_address_until_the_carrier_goes(bound):
    assert passes(bound, v6(LOCAL))
    assert not passes(bound, v6(LOCAL_2))
    bound.wait(3600)
    assert not passes(bound, v6(LOCAL_2)) and passes(bound, v6(LOCAL))
    bound.set("a", carrier=False)
    bound.set("a", carrier=True)
    assert passes(bound, v6(LOCAL_2)) and not passes(bound, v6(LOCAL))


def test_an_address_that_was_a_duplicate_is_followed_by_another(bound):
    """RFC 7217, 6: who hears that its address is taken draws the next one; nothing was sent from the first."""
    assert passes(bound, detection(LOCAL)) and passes(bound, detection(LOCAL_2))
    assert passes(bound, v6(LOCAL_2)) and not passes(bound, detection(LOCAL))


def test_a_written_link_local_address_is_the_only_one(bound):
    bound.set("a", addresses=[*WRITTEN, "fe80::7/64"])
    assert passes(bound, v6("fe80::7")) and not passes(bound, v6(LOCAL))


def test_temporary_addresses_come_and_go_and_their_number_has_a_bound(bound):
    assert [passes(bound, v6(one)) for one in PRIVATE[:9]] == [True] * 8 + [False]
    for one in PRIVATE[1:8]:
        bound.wait(5)
        assert passes(bound, v6(one))
    bound.wait(26)
    assert passes(bound, v6(PRIVATE[8])) and not passes(bound, v6(PRIVATE[0]))   # it has the place of the idle one
    assert not passes(bound, v6(PRIVATE[9]))


def test_who_guesses_does_so_eight_times_a_second(bound):
    taken = [f"2001:db8:0:1:cafe:0:0:{n}" for n in range(8)]
    bound.set("b", unbound_addresses=[f"{one}/64" for one in taken])
    assert [passes(bound, v6(one)) for one in taken] == [False] * 8
    assert not passes(bound, v6(PRIVATE[0]))
    bound.wait(1)
    assert passes(bound, v6(PRIVATE[0]))


@pytest.mark.parametrize("octets", [v6(LOCAL, src=C), v6(PRIVATE[0], src=C), v4("169.254.7.7", src=C)], ids=range(3))
def test_first_come_first_served(bound, octets):
    bound.port("c", ip_binding="reject", addresses=["2001:db8:0:1::3/64"], guest="c")
    mine = octets[:6] + mac(A) + octets[12:]
    assert passes(bound, mine)
    assert not passes(bound, octets, "c")
    bound.set("a", carrier=False)                      # the control: it is the other one's use that stands in the way
    assert passes(bound, octets, "c")


def test_two_vlans_are_two_worlds(switch):
    for name, vid in (("a", 10), ("b", 10), ("c", 20), ("d", 20)):
        switch.port(name, access=vid, ip_binding="reject", addresses=["2001:db8:0:1::1/64"], guest=name)
    assert passes(switch, v6(PRIVATE[0])) and passes(switch, v6(PRIVATE[0], src=C), "c")
    assert not passes(switch, v6(PRIVATE[0], src=B), "b")


@pytest.mark.parametrize(("prefix", "inside", "outside"), [
    ("2001:db8:0:2::/64", v6("2001:db8:0:2::77"), v6("2001:db8:0:3::77")),
    ("2001:db8::/32", v6("2001:db8:ffff::77"), v6("2001:db9::77")),
    ("fe80::/64", v6("fe80::1"), v6("fe80:1::1")),
    ("10.0.0.8/30", arp("10.0.0.11"), arp("10.0.0.12")),
    ("10.9.0.0/16", v4("10.9.255.255"), v4("10.10.0.0")),
    ("0.0.0.0/0", v4("192.0.2.1"), v6("2001:db9::1")),
    ("::/0", v6("2001:db9::1"), v6("::")),
    ("10.0.0.254", arp("10.0.0.254", op=2, dst=B), arp("10.0.0.253", op=2, dst=B)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_allowed_prefix(bound, prefix, inside, outside):
    assert not passes(bound, inside)
    bound.set("a", allowed_addresses=[prefix])
    assert passes(bound, inside) and not passes(bound, outside)


VIRTUAL, VIRTUAL6 = "00:00:5e:00:01:07", "00:00:5e:00:02:07"


@pytest.fixture
def routers(switch):
    """A VRRP pair: two addresses and two MAC addresses that each of the two may use (RFC 5798)."""
    shared = {"allowed_addresses": ["10.0.0.254", "fe80::254", "2001:db8:0:1::254"], "allowed_macs": [VIRTUAL, VIRTUAL6],
              "ip_binding": "reject", "learning": "off"}
    switch.port("r1", mac=A, addresses=["10.0.0.2/24", "2001:db8:0:1::2/64"], guest="r1", **shared)
    switch.port("r2", mac=B, addresses=["10.0.0.3/24", "2001:db8:0:1::3/64"], guest="r2", **shared)
    switch.port("client", guest="client")
    switch.send("client", frame(BROADCAST, C))
    switch.sent()
    return switch


def of(src, ethertype, payload):
    return frame(C, src, ethertype=ethertype, payload=payload)


def speaks_for_it(own, own4, own_local):
    """What a master says: each kind of frame from the virtual address or from its own, as implementations do."""
    answer = bytes.fromhex("0001080006040002") + mac(VIRTUAL) + address("10.0.0.254") + mac(C) + address("10.0.0.9")
    return [
        of(VIRTUAL, IPV4, ipv4(own4, "224.0.0.18", 112, bytes(20))),                 # an advertisement (7.3)
        of(VIRTUAL6, IPV6, ipv6(own_local, "ff02::12", 112, bytes(20))),
        of(VIRTUAL, ARP, answer), of(own, ARP, answer),                              # an answer (8.1.2)
        of(VIRTUAL, ARP, answer[:7] + b"\1" + answer[8:18] + bytes(6) + address("10.0.0.254")),
        of(VIRTUAL6, IPV6, ipv6("fe80::254", "ff02::1", ICMPV6, neighbour(136, "fe80::254", option(2, VIRTUAL6)))),
        of(own, IPV6, ipv6("2001:db8:0:1::254", "ff02::1", ICMPV6, neighbour(136, "2001:db8:0:1::254", option(2, VIRTUAL6)))),
        of(VIRTUAL6, IPV6, ipv6("fe80::254", "ff02::1", ICMPV6, bytes([134]) + bytes(15) + option(1, VIRTUAL6))),
        of(own, IPV4, ipv4("10.0.0.254", "10.0.0.9", UDP, udp(1, 2))),
    ]


def test_a_shared_address_is_either_holder_s(routers):
    for port, own, own4, local in (("r1", A, "10.0.0.2", "fe80::ff:fe00:a"), ("r2", B, "10.0.0.3", "fe80::ff:fe00:b")):
        for number, octets in enumerate(speaks_for_it(own, own4, local)):
            assert passes(routers, octets, port), (port, number)
        assert routers.drops(port) == {}


def test_and_of_no_other(routers):
    routers.port("thief", learning="off", mac="02:00:00:00:00:66", ip_binding="reject", addresses=["10.0.0.6/24"], guest="thief")
    for octets in speaks_for_it("02:00:00:00:00:66", "10.0.0.6", "fe80::ff:fe00:66")[2:]:
        assert not passes(routers, octets, "thief")
    for octets in (v4("10.0.0.3"), arp("10.0.0.3"), v6("2001:db8:0:1::3"), v6("fe80::253"),
                   of(A, ARP, bytes.fromhex("0001080006040002") + mac(B) + address("10.0.0.254") + mac(C) + address("10.0.0.9")),
                   of(A, IPV6, ipv6("fe80::254", "ff02::1", ICMPV6, neighbour(136, "fe80::254", option(2, B))))):
        assert not passes(routers, octets, "r1")


def test_siblings_speak_for_each_other_s_addresses(switch):
    for name, guest in (("n1", "srv"), ("n2", "srv"), ("x", "x")):
        switch.port(name, learning="first", guest=guest, ip_binding="reject",
                    addresses=["10.0.0.1/24", "2001:db8:0:1::1/64"] if name == "n1" else ["10.0.0.5/24"])
    switch.send("x", frame(BROADCAST, C, ethertype=IPV4, payload=ipv4("10.0.0.5", "10.0.0.9", UDP, udp(1, 2))))
    switch.sent()
    assert passes(switch, v4("10.0.0.1"), "n1") and passes(switch, v4("10.0.0.1"), "n2") and passes(switch, arp("10.0.0.1"), "n2")
    assert not passes(switch, v4("10.0.0.1", src=C), "x")
    switch.set("n2", guest="other")
    assert not passes(switch, v4("10.0.0.1"), "n2")


STOLEN = "2001:db8:0:1:bbbb:bbbb:bbbb:bbbb"


@pytest.mark.parametrize("claimed", [STOLEN, LOCAL, PRIVATE[0], "169.254.7.7"])
def test_what_is_drawn_in_one_vlan_of_a_trunk_is_no_title_in_another(switch, claimed):
    """A trunk's guest draws the address where nobody has it, and then claims it where another guest does."""
    def claim(port, vid=None, src=A):
        octets = mac(BROADCAST) + (v4(claimed, src) if "." in claimed else v6(claimed, src=src))[6:]
        tagged = octets[:12] + b"\x81\x00" + vid.to_bytes(2, "big") + octets[12:] if vid else octets
        return passes(switch, tagged, port)

    switch.port("a", tagged=[10, 20], ip_binding="reject", addresses=WRITTEN, guest="a")
    switch.port("b", access=20, ip_binding="reject", guest="b",
                addresses=["10.0.0.2/24", f"{STOLEN if claimed == STOLEN else '2001:db8:0:1::2'}/64"])
    switch.port("c", access=10, guest="c")
    switch.port("d", access=20, guest="d")
    assert claim("b", src=B)           # it is b's, written or drawn
    assert not claim("a", 20)
    assert claim("a", 10)              # the control: in this VLAN nobody else has it
    assert not claim("a", 20)
    switch.set("b", carrier=False)     # the control: what was drawn is free once its guest has gone
    assert claim("a", 20) is (claimed != STOLEN)


def test_a_trunk_s_guest_uses_its_address_in_several_vlans(switch):
    vids = [10, 20, 30, 40, 50, 60]
    switch.port("a", tagged=vids, ip_binding="reject", addresses=WRITTEN, guest="a")
    switch.port("c", tagged=vids, guest="c")
    for vid in vids:
        octets = mac(BROADCAST) + v6(LOCAL)[6:]
        assert passes(switch, octets[:12] + b"\x81\x00" + vid.to_bytes(2, "big") + octets[12:]), vid
