"""`switch`: a real data plane in this process, with memory ports and a clock that only moves when told."""

import pytest
from hypothesis import Phase, settings

from tests.support.guest_rings import RX, TX
from tests.support.memory_switch import MemorySwitch
from tests.support.vhost_switch import VhostSwitch

# For whoever only wants to know whether there is a failure (tools/mutants.py), not the shortest way to it.
settings.register_profile("find", phases=[Phase.generate])


@pytest.fixture
def switch():
    with MemorySwitch() as switch:
        yield switch


@pytest.fixture
def switch_with_a_pair():
    """A switch for guests that share their memory, with two that talk to each other and must not notice the others."""
    with VhostSwitch() as switch:
        switch.pair()
        assert switch.pair_is_unharmed()
        yield switch
        assert switch.pair_is_unharmed()


@pytest.fixture
def guest_without_rings(switch_with_a_pair):
    """Guest `a`, connected and negotiated, with memory shared and no ring yet."""
    guest = switch_with_a_pair.plug("a")
    guest.negotiate()
    assert guest.share()
    return guest


@pytest.fixture
def guest_with_empty_rings(guest_without_rings):
    """Guest `a`, started, and with nothing in its rings: each test fills them itself."""
    for index in (RX, TX):
        guest_without_rings.start_ring(index)
    return guest_without_rings
