"""A failed `probe` says each failure once, with what the switch dropped meanwhile."""

from __future__ import annotations

import json

import pytest

from tests.support.deployed import deployed

pytestmark = pytest.mark.netns
LAB = """\
schema: vswitch/v1
name: NAME
switches: {s: {}}
guests:
  a: {switch: s, addresses: [10.0.0.1/24], isolated: true}
  b: {switch: s, addresses: [10.0.0.2/24], isolated: true}
  c: {switch: s, addresses: [10.0.0.3/24]}
expect:
  - {from: a, to: b, reach: true}
  - {from: a, to: c, reach: true}
"""


def test_each_failure_once_with_its_reason():
    with deployed(LAB) as box:
        done = box.vswitch("probe", str(box.file))
        assert done.returncode == 1
        assert done.stdout.count("✗") == 1 and done.stdout.count("✓") == 1
        failed, passed = done.stdout.split("✗")[1].split("✓")[0], done.stdout.split("✓")[1]
        assert "meanwhile dropped:" in failed and "x isolated from a.eth0: " in failed
        assert "meanwhile dropped" not in passed
        assert "1 expectation does not hold: " in done.stderr and f"{box.file}:" in done.stderr
        evidence = failed.strip().splitlines()[1].strip()
        assert evidence not in done.stderr
        rows = json.loads(box.vswitch("probe", str(box.file), "-o", "json").stdout)
        assert [(row["held"], "isolated" in row["dropped"]) for row in rows] == [(False, True), (True, False)]
