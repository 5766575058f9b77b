"""Which rings can run on this machine; what cannot is skipped with its reason, and nothing else ever is."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
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


def lacks_libvirt() -> str:
    programs = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("libvirtd", "virtlogd", "virsh")]
    if not all(programs) or not Path("/etc/libvirt/qemu.conf").exists():
        return "needs libvirtd and virsh; apt-get install libvirt-daemon-system libvirt-clients"
    return lacks_qemu()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = [item for item in items if item.get_closest_marker("long") and "VSWITCH_LONG" not in os.environ]
    config.hook.pytest_deselected(items=long)      # `make test-long` is another ring: here they are not skipped, they are not
    items[:] = [item for item in items if item not in long]
    for marker, reason in (("netns", lacks_namespaces()), ("qemu", lacks_qemu()), ("ovs", lacks_ovs()),
                           ("libvirt", lacks_libvirt())):
        for item in items:
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


# What may wait on an event loop's thread is noted here and in every Python that a test starts, and fails the test.

IN_EVERY_PYTHON = Path(__file__).parent / "support" / "in_every_python"
sys.path.insert(0, str(IN_EVERY_PYTHON))
import loop_guard  # noqa: E402

loop_guard.install()
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(IN_EVERY_PYTHON), os.environ.get("PYTHONPATH")]))


@pytest.fixture(autouse=True)
def nothing_waits_on_an_event_loop() -> Iterator[Path]:
    """The report's file; set up before everything else, so it is read when vswitchd has ended."""
    report = Path(tempfile.gettempdir(), f"loop-guard-{os.getpid()}")
    report.unlink(missing_ok=True)
    os.environ[loop_guard.REPORT] = str(report)
    yield report
    fail_of(report)


def fail_of(report: Path) -> None:
    """Fail the test with the stacks that are in the report, and take it away."""
    if report.exists():
        text = report.read_text()
        report.unlink()
        pytest.fail(text[:8000], pytrace=False)
