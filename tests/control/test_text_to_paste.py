"""What `vswitch qemu` and `vswitch libvirt` print: with and without KVM, for whom, and as a lab starts QEMU."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from vswitch.cli import _kvm, libvirt, main
from vswitch.lab.image import Image
from vswitch.lab.qemu_machine import qemu_argv
from vswitch.topology import load

FILE = """\
schema: vswitch/v1
name: lab
switches: {s: {}}
guests:
  a: {switch: s, mac: "52:54:00:00:00:01", attach: vhost_user, socket: {queues: 2}}
  b: {switch: s, mac: "52:54:00:00:00:02"}
  9c: {switch: s, mac: "52:54:00:00:00:03", run: {memory: 2GiB}, attach: vhost_user}
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSWITCH_RUN", str(tmp_path / "run"))
    file = tmp_path / "lab.yaml"
    file.write_text(FILE)
    return file


@pytest.fixture
def vswitch(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: (exit code, stdout, stderr)."""
    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([*words])
        return (int(end.value.code or 0), *capsys.readouterr())
    return run


def with_kvm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str = "fpu vmx sse") -> None:
    device, processor = tmp_path / "kvm", tmp_path / "cpuinfo"
    device.touch()
    processor.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(_kvm, "KVM", device)
    monkeypatch.setattr(_kvm, "CPUINFO", processor)


def options(text: str) -> dict[str, str]:
    words = shlex.split(text.replace("\\\n", " "))
    return dict(zip(words[::2], words[1::2], strict=True))


def test_an_emulated_adapter_that_shares_memory_has_no_vectors_and_one_with_kvm_has(vswitch, monkeypatch, tmp_path):
    with_kvm(monkeypatch, tmp_path)
    assert "mq=on,vectors=6" in options(vswitch("qemu", "a")[1])["-device"]
    assert "mq=on,vectors=0" in options(vswitch("qemu", "a", "--accel", "tcg")[1])["-device"]
    assert "vectors" not in options(vswitch("qemu", "b", "--accel", "tcg")[1])["-device"]
    (_kvm.KVM).unlink()
    assert "mq=on,vectors=0" in options(vswitch("qemu", "a")[1])["-device"]
    assert "mq=on,vectors=6" in options(vswitch("qemu", "a", "--accel", "kvm")[1])["-device"]


def test_a_kvm_device_on_a_processor_without_virtualisation_is_no_kvm(vswitch, monkeypatch, tmp_path):
    with_kvm(monkeypatch, tmp_path, "fpu sse")
    assert "neither vmx nor svm" in _kvm.why_no_kvm()
    code, out, err = vswitch("qemu", "a")
    assert (code, "vectors=0" in out, "neither vmx nor svm" in err) == (0, True, True)
    with_kvm(monkeypatch, tmp_path, "fpu svm")                          # the control
    assert _kvm.why_no_kvm() == ""


def test_memory_is_said_once_and_the_same_everywhere(vswitch):
    _, out, err = vswitch("qemu", "a")
    assert (options(out)["-m"], "size=256M," in options(out)["-object"]) == ("256M", True)
    assert "run: {memory: 2GiB}" in err
    _, out, err = vswitch("qemu", "9c")
    assert (options(out)["-m"], "size=2G," in options(out)["-object"]) == ("2G", True)
    assert "memory" not in err
    assert "-m" not in options(vswitch("qemu", "b")[1])


def test_every_adapter_and_netdev_has_an_id_that_qemu_takes(vswitch):
    ids = re.findall(r"\bid=([^,\s]+)", vswitch("qemu")[1])
    assert all(re.fullmatch(r"[A-Za-z][\w.-]*", word) for word in ids)
    assert {"a-eth0", "a-eth0-nic", "b-eth0", "b-eth0-nic", "n9c-eth0", "n9c-eth0-nic"} <= set(ids)


def test_a_lab_starts_qemu_with_the_words_that_are_printed(file, vswitch):
    topology = load(file)
    for row in json.loads(vswitch("qemu", "--accel", "tcg", "-o", "json")[1]):
        argv = qemu_argv(topology, topology.guests[row["guest"]], Image(Path("k"), Path("i")), Path("f"))
        argv = [word.replace(",romfile=", "") for word in argv]
        assert all(word in argv for word in [*row["arguments"], *row["shared_memory"]])


def test_a_tap_has_no_fragments_left_to_the_switch(vswitch):
    assert options(vswitch("qemu", "b")[1])["-device"].endswith(",host_ufo=off")
    assert ElementTree.fromstring(vswitch("libvirt", "b")[1]).find("driver/host").get("ufo") == "off"
    assert "ufo" not in vswitch("qemu", "a")[1] + vswitch("libvirt", "a")[1]


def test_an_emulated_domain_says_what_it_needs_and_one_with_kvm_does_not(vswitch):
    emulated = vswitch("libvirt", "a", "--accel", "tcg")[1]
    kvm = vswitch("libvirt", "a", "--accel", "kvm")[1]
    assert "value='virtio-net-pci.vectors=0'" in emulated and "queues" not in emulated
    assert "vectors" not in kvm and ElementTree.fromstring(kvm).find("driver").get("queues") == "2"
    assert "<memoryBacking>" in emulated and "<memoryBacking>" in kvm
    assert ElementTree.fromstring(emulated).tag == ElementTree.fromstring(kvm).tag == "interface"


def test_the_owner_that_libvirt_needs_is_named_where_it_is_not_written(file, vswitch, monkeypatch):
    monkeypatch.setattr(libvirt, "QEMU_USERS", ("no-such-user", "games"))
    for text in vswitch("libvirt", "a")[1:]:
        assert "libvirt's QEMU runs as games: write `socket: {owner: games}`" in text
    file.write_text(FILE.replace("queues: 2", "queues: 2, owner: games"))
    assert "games" not in "".join(vswitch("libvirt", "a")[1:])
    file.write_text(FILE.replace("queues: 2", "listen: qemu"))          # libvirt makes this one itself
    assert "games" not in "".join(vswitch("libvirt", "a")[1:])
    monkeypatch.setattr(libvirt, "QEMU_USERS", ("no-such-user",))
    file.write_text(FILE)
    assert "owner:" not in "".join(vswitch("libvirt", "a")[1:])
