"""Files of other people's tools, converted once and used as they are: they come up, and what they expect holds.

What no file can say is in docs/other-tools.md.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boxed import ROOT, Box
from vswitch.topology import load

pytestmark = pytest.mark.netns

FOLDER = ROOT / "tests" / "converted"
# File -> SHA-256: who mends a file to suit the product fails here.
HASHES = {
    "clab-br01.yaml": "ebea6617e2a9bc7e9976b8aaea0569346e702190effb69f38b01780213eae4cc",
    "libvirt-ovs.yaml": "15c9d28edb17acbef6c6c72f65b845033c952e100656b0044ec17b37dbc71832",
    "mn-linuxrouter.yaml": "4c3231bd96ab3c0e9bd175836b0cc6331325152cf7a53958b5730706fad32c6c",
    "netplan-port-vlans.yaml": "5581070a5e6d5262dfce13d34b4ade89da9bb64b978e54b4dbea31a93256e31a",
    "ovs-vlan.yaml": "e94795ec154c36784a6d32f4da3782e3976a189012b5b37e7f175c3cda3dfa93",
    "pve-trunks.yaml": "2163f2cef3cc159da42f47c74105ce14133f24420e232db8e5b31e886073b7dc",
}
EXPECTED = {"clab-br01.yaml": 2, "libvirt-ovs.yaml": 0, "mn-linuxrouter.yaml": 3,
            "netplan-port-vlans.yaml": 0, "ovs-vlan.yaml": 4, "pve-trunks.yaml": 0}


@pytest.fixture(scope="module")
def vswitchd() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(prefix="vs-") as folder:
        box = Box(Path(folder), "")
        yield box
        box.end_daemon()


def test_the_files_are_what_they_were():
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in FOLDER.iterdir()} == HASHES
    assert set(EXPECTED) == set(HASHES)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_comes_up_as_a_lab_and_its_expectations_hold(vswitchd, name):
    file = FOLDER / name
    try:
        done = vswitchd.vswitch("up", "--lab", os.fspath(file))
        assert done.returncode == 0, done.stdout + done.stderr
        done = vswitchd.vswitch("probe", os.fspath(file))
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{EXPECTED[name]} of {EXPECTED[name]} expectations hold" in done.stderr
    finally:
        assert vswitchd.vswitch("down", load(file).name).returncode == 0
    assert not vswitchd.client.topologies()


def test_an_expectation_that_does_not_hold_is_found(vswitchd, tmp_path):
    """The control: the same lab, and a sentence that contradicts it."""
    file = tmp_path / "wrong.yaml"
    text = (FOLDER / "clab-br01.yaml").read_text()
    file.write_text(text.replace("{from: srl1, to: srl3, reach: true}", "{from: srl1, to: srl3, reach: false}"))
    try:
        assert vswitchd.vswitch("up", "--lab", os.fspath(file)).returncode == 0
        done = vswitchd.vswitch("probe", os.fspath(file))
        assert done.returncode == 1 and "1 of 2 expectations hold" in done.stderr, done.stdout + done.stderr
    finally:
        vswitchd.vswitch("down", load(file).name)
