"""Which rings can run on this machine; what cannot is skipped with its reason, and nothing else ever is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.ovs import lacks_ovs


def lacks_namespaces() -> str:
    if os.geteuid():
        return "needs root for network namespaces; run as root or with sudo"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun; modprobe tun"
    return ""


def lacks_qemu() -> str:
    if not shutil.which("qemu-system-x86_64"):
        return "needs qemu-system-x86_64; apt-get install qemu-system-x86"
    return lacks_namespaces()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = [item for item in items if item.get_closest_marker("long") and "VSWITCH_LONG" not in os.environ]
    config.hook.pytest_deselected(items=long)      # `make test-long` is another ring: here they are not skipped, they are not
    items[:] = [item for item in items if item not in long]
    for marker, reason in (("netns", lacks_namespaces()), ("qemu", lacks_qemu()), ("ovs", lacks_ovs())):
        for item in items:
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
