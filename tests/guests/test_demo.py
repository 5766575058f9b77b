"""The demo with four real QEMU guests: `up --lab=qemu`, every expectation with real frames, and nothing left."""

from __future__ import annotations

import pytest

from tests.support.demo import run_demo

pytestmark = pytest.mark.qemu


@pytest.mark.timeout(400)              # four emulated guests, on a machine that may be busy
def test_the_demo_holds_with_qemu_guests_and_leaves_nothing():
    demo = run_demo("qemu")
    assert demo.code == 0, demo.shown
    assert "+ tap vm1-outside" in demo.shown
    assert "\nvm2 of single-host-dmz\n" in demo.shown
    assert demo.shown.count("✓ It fails, as it must") == 3
    assert "17 of 17 expectations hold" in demo.shown
    assert (demo.namespaces, demo.processes) == ("", [])
