"""`switch`: a real data plane in this process, with memory ports and a clock that only moves when told."""

import pytest
from hypothesis import Phase, settings

from tests.support.memory_switch import MemorySwitch

# For whoever only wants to know whether there is a failure (tools/mutants.py), not the shortest way to it.
settings.register_profile("find", phases=[Phase.generate])


@pytest.fixture
def switch():
    with MemorySwitch() as switch:
        yield switch
