"""`reserved_multicast`: group addresses for the next device, and which of them a port may send all the same."""

import pytest

from dataplane.messages import RESERVED_OCTETS
from tests.support.frames import frame
from vswitch.topology import policy_scalars

RESERVED = [f"01:80:c2:00:00:{last:02x}" for last in range(16)]
CISCO = ["01:00:0c:cc:cc:cc", "01:00:0c:cc:cc:cd", "01:00:0c:00:00:00"]
WORDS = {
    "stp": {"01:80:c2:00:00:00", "01:00:0c:cc:cc:cd"},
    "lacp": {"01:80:c2:00:00:02"},
    "eapol": {"01:80:c2:00:00:03"},
    "lldp": {"01:80:c2:00:00:0e"},
    "cdp": {"01:00:0c:cc:cc:cc"},
    "mac_control": {"01:80:c2:00:00:04"},
    "e_lmi": {"01:80:c2:00:00:07"},
    "provider_bridge": {"01:80:c2:00:00:08"},
    "provider_mvrp": {"01:80:c2:00:00:0d"},
    "other": {f"01:80:c2:00:00:{last}" for last in ("05", "06", "09", "0a", "0b", "0c", "0f")},
}
NEVER = {"01:80:c2:00:00:01", "01:00:0c:00:00:00"}       # pause frames, ISL
NEIGHBOURS = ["01:80:c2:00:00:10", "01:80:c2:00:01:00", "01:80:c3:00:00:00", "01:00:0c:cc:cc:cb", "01:00:0c:cc:cc:ce",
              "01:00:0c:00:00:01", "03:80:c2:00:00:00"]


@pytest.fixture
def two(switch):
    switch.port("a")
    switch.port("b")
    return switch


@pytest.mark.parametrize("to", RESERVED + CISCO)
def test_each_is_dropped_unless_its_word_lets_it_through(two, to):
    two.send("a", frame(to))
    assert two.sent() == {}
    assert two.drops("a") == {"reserved_multicast": 1}
    for word, addresses in WORDS.items():
        two.set("a", reserved_multicast=[word])
        two.send("a", frame(to))
        assert two.sent() == ({"b": [frame(to)]} if to in addresses else {})
    two.set("a", reserved_multicast=list(WORDS))
    two.send("a", frame(to))
    assert two.sent() == ({} if to in NEVER else {"b": [frame(to)]})


@pytest.mark.parametrize("to", NEIGHBOURS)
def test_the_addresses_beside_them_are_ordinary(two, to):
    two.send("a", frame(to))
    assert two.sent() == {"b": [frame(to)]}


def test_what_one_port_may_send_another_may_not(two):
    two.set("a", reserved_multicast=["lldp"])
    two.send("b", frame("01:80:c2:00:00:0e"))
    assert two.sent() == {}
    two.send("a", frame("01:80:c2:00:00:0e"))
    assert two.sent() == {"b": [frame("01:80:c2:00:00:0e")]}


def test_an_unknown_word_is_refused(two):
    with pytest.raises(KeyError):
        two.set("a", reserved_multicast=["pause"])
    two.set("a", reserved_multicast=["lldp"])


def test_the_topology_knows_the_same_words():
    assert set(policy_scalars.RESERVED) == set(WORDS) == {*RESERVED_OCTETS, "cdp"}


def test_what_goes_by_the_address_goes_by_the_word(two):
    """PTP's peer delay messages (IEEE 1588-2019 annex E) share an address with LLDP: only the address is judged."""
    delay = frame("01:80:c2:00:00:0e", ethertype=0x88F7)
    two.send("a", delay)
    assert two.sent() == {}
    two.set("a", reserved_multicast=["lldp"])
    two.send("a", delay)
    assert two.sent() == {"b": [delay]}
