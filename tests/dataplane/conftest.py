"""`switch`: a real data plane in this process, with memory ports and a clock that only moves when told."""

import pytest

from tests.support.memory_switch import MemorySwitch


@pytest.fixture
def switch():
    with MemorySwitch() as switch:
        yield switch
