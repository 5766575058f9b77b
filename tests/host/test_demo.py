"""The demo, run as `make demo` runs it; and that it finds out when something does not hold."""

from __future__ import annotations

import shutil

import pytest

from tests.support.demo import run_demo
from tests.support.deployed import TOPOLOGIES

pytestmark = pytest.mark.netns


def test_the_demo_holds_and_leaves_nothing():
    demo = run_demo("namespaces")
    assert demo.code == 0, demo.shown
    assert "\nvm2 of single-host-dmz\n" in demo.shown
    assert demo.shown.count("✓ It fails, as it must") == 3
    assert "17 of 17 expectations hold" in demo.shown
    assert "Everything held, and nothing is left of it" in demo.shown
    assert (demo.namespaces, demo.processes) == ("", [])


def test_the_demo_fails_when_a_firewall_is_open_and_leaves_nothing(tmp_path):
    shutil.copytree(TOPOLOGIES, tmp_path / "topologies")
    rules, file = tmp_path / "topologies" / "vm4.nft", tmp_path / "topologies" / "single-host-dmz.yaml"
    rules.write_text(rules.read_text().replace("policy drop", "policy accept"))
    head, _, expectations = file.read_text().partition("expect:\n")
    few = [line for line in expectations.splitlines() if "corporate.desk, to: vm3" in line or "vm2, to: vm3" in line]
    assert len(few) == 2
    file.write_text(head + "expect:\n" + "\n".join(few))
    demo = run_demo("namespaces", tmp_path)
    assert demo.code == 1, demo.shown
    assert "The demo FAILED" in demo.shown
    assert "✗ The company's desk tries the server vm3" in demo.shown
    assert "1 of 2 expectations hold" in demo.shown
    assert (demo.namespaces, demo.processes) == ("", [])
