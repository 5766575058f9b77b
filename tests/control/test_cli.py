"""The command words that need no root and no vswitchd: what they print, where, and with which exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

from vswitch.cli import cli, doctor, main, version
from vswitch.cli._checks import Finding
from vswitch.cli.init import WORDS
from vswitch.errors import DaemonError

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGIES = sorted((ROOT / "topologies").glob("*.yaml"))


@pytest.fixture
def vswitch(capsys, monkeypatch, tmp_path):
    """Run one command in an empty directory, with no vswitchd; (exit code, stdout, stderr)."""
    monkeypatch.setenv("VSWITCH_RUN", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.mark.parametrize("word", cli.list_commands(click.Context(cli)))
def test_every_word_has_a_module_and_help(vswitch, word):
    code, out, _ = vswitch(word, "--help")
    assert code == 0
    assert "Usage: vswitch " + word in out


def test_a_word_that_does_not_exist_is_a_usage_error(vswitch):
    code, out, err = vswitch("fly")
    assert (code, out) == (2, "")
    assert "fly" in err


@pytest.mark.parametrize("template", WORDS)
def test_what_init_writes_is_valid_and_never_overwritten(vswitch, template):
    assert vswitch("init", "--template", template)[0] == 0
    code, out, _ = vswitch("validate", f"{template}.yaml")
    assert code == 0
    assert out.startswith(f"{template}.yaml: valid:")
    before = Path(f"{template}.yaml").read_text()
    code, _, err = vswitch("init", "--template", template)
    assert code == 1
    assert f"{template}.yaml" in err
    assert Path(f"{template}.yaml").read_text() == before


def test_init_shares_the_rules_that_lie_there_and_replaces_none(vswitch):
    assert vswitch("init", "dmz.yaml", "-t", "dmz")[0] == 0
    assert vswitch("init", "dmz2.yaml", "-t", "dmz")[0] == 0
    assert Path("dmz2.yaml").exists()
    Path("vm1.nft").write_text("# mine\n")
    code, _, err = vswitch("init", "dmz3.yaml", "-t", "dmz")
    assert code == 1 and "vm1.nft" in err and "another directory" in err
    assert Path("vm1.nft").read_text() == "# mine\n" and not Path("dmz3.yaml").exists()


def test_validate_names_the_place_and_the_cure(vswitch):
    Path("lab.yaml").write_text("schema: vswitch/v1\nname: lab\nswitches:\n  a: {}\nguests:\n  g: {switch: a, vlan: 4095}\n")
    code, out, err = vswitch("validate", "lab.yaml")
    assert code == 2
    said = out + err
    assert "lab.yaml:6:24: guests.g.vlan: 4095 is reserved; use 1-4094" in said
    assert "  g: {switch: a, vlan: 4095}" in said
    Path("lab.yaml").write_text(Path("lab.yaml").read_text().replace("4095", "4094"))
    assert vswitch("validate", "lab.yaml")[0] == 0


def test_the_only_topology_of_a_directory_needs_no_name(vswitch):
    assert vswitch("validate")[0] == 2
    vswitch("init", "lab.yaml")
    assert vswitch("validate")[0] == 0
    vswitch("init", "other.yaml")
    code, _, err = vswitch("validate")
    assert code == 2
    assert "lab.yaml, other.yaml" in err


def test_config_says_where_each_value_comes_from(vswitch):
    file = ROOT / "topologies/isolated-guests.yaml"
    code, out, _ = vswitch("config", file, "-o", "json")
    assert code == 0
    rows = json.loads(out)
    assert {"port", "key", "value", "origin", "place"} <= set(rows[0])
    by_origin = {row["origin"] for row in rows}
    assert "built in" in by_origin and "nic" in by_origin
    for row in rows:
        assert (row["place"] is None) == (row["origin"] == "built in"), row
        if row["place"]:
            line = int(re.search(r":(\d+):\d+$", row["place"])[1])
            assert row["key"].split(".")[-1] in file.read_text().splitlines()[line - 1] or row["origin"] != "nic"


@pytest.mark.parametrize("file", TOPOLOGIES, ids=lambda file: file.stem)
def test_qemu_and_libvirt_name_the_same_tap_and_address(vswitch, file):
    code, out, _ = vswitch("qemu", "-f", file, "-o", "json")
    assert code == 0
    for row in json.loads(out):
        arguments = " ".join(row["arguments"])
        assert f"mac={row['mac']}" in arguments
        code, xml, _ = vswitch("libvirt", row["port"], "-f", file)
        assert code == 0
        interface = ElementTree.fromstring(xml)
        assert interface.find("mac").get("address") == row["mac"]
        if row["interface"] and "ifname=" in arguments:
            assert f"ifname={row['interface']},script=no,downscript=no" in arguments
            assert (interface.find("target").get("dev"), interface.find("target").get("managed")) == (row["interface"], "no")


def test_qemu_of_nobody_is_a_usage_error(vswitch):
    code, out, err = vswitch("qemu", "vm9", "-f", ROOT / "topologies/single-host-dmz.yaml")
    assert (code, out) == (2, "")
    assert "`vm9` is not a guest or a guest's port" in err
    assert vswitch("qemu", "vm1", "-f", ROOT / "topologies/single-host-dmz.yaml")[0] == 0


def test_queues_and_mtu_reach_the_text_to_paste(vswitch):
    guest = "{switch: a, mtu: 9000, tap: {name: tap0, queues: 4}}"
    Path("lab.yaml").write_text(f"schema: vswitch/v1\nname: lab\nswitches:\n  a: {{}}\nguests:\n  g: {guest}\n")
    _, out, _ = vswitch("qemu", "g")
    assert "ifname=tap0" in out and "queues=4" in out and "mq=on,vectors=10" in out and "host_mtu=9000" in out
    _, out, _ = vswitch("libvirt", "g")
    assert "<driver queues='4'><host ufo='off'/></driver>" in out and "<mtu size='9000'/>" in out


def test_the_schema_refuses_unknown_keys_as_the_reader_does(vswitch):
    code, out, _ = vswitch("schema")
    schema = json.loads(out)
    assert code == 0
    maps = [schema, *schema["$defs"].values()]
    assert all(entry.get("additionalProperties") is False for entry in maps if entry.get("properties"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_program(vswitch, shell):
    code, out, _ = vswitch("completion", shell)
    assert code == 0
    assert "_VSWITCH_COMPLETE" in out


@pytest.mark.parametrize("words", [("show", "ports"), ("show", "fdb"), ("show", "drops"), ("show", "switches")])
def test_reads_without_a_daemon_end_with_3(vswitch, words):
    code, out, err = vswitch(*words)
    assert (code, out) == (3, "")
    assert "vswitch up" in err


def test_without_a_daemon_ls_says_that_nothing_is_up(vswitch, tmp_path):
    code, out, _ = vswitch("ls")
    assert (code, out) == (0, "nothing is up\n")
    assert json.loads(vswitch("ls", "-o", "json")[1]) == {"topologies": [], "foreign": []}
    record = tmp_path / "run" / "state" / "flat.json"      # the control: a vswitchd died while something was up
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    code, out, err = vswitch("ls")
    assert (code, out) == (3, "")
    assert "although flat is up" in err


@pytest.mark.parametrize(("word", "meant"), [("dwon", "down"), ("sohw", "show"), ("upp", "up"), ("validat", "validate")])
def test_a_misspelt_word_names_the_closest_one(vswitch, word, meant):
    code, out, err = vswitch(word)
    assert (code, out) == (2, "")
    assert re.search(rf"did you mean\W+{meant}\b", err, re.IGNORECASE)


def test_version_needs_no_daemon(vswitch):
    code, out, _ = vswitch("version")
    assert code == 0
    assert "not running" in out


def test_version_says_when_it_may_not_ask(vswitch, monkeypatch):
    class Closed:
        def version(self):
            raise DaemonError("not allowed to speak to vswitchd at /run/x")

    monkeypatch.setattr(version, "client", Closed)
    code, out, _ = vswitch("version")
    assert code == 0 and "not allowed to speak to vswitchd" in out and "not running" not in out


def test_doctor_fails_for_what_is_required_and_only_for_that(vswitch, monkeypatch):
    present = Finding("kernel", True, "6.1", "")
    optional = Finding("kvm", False, "not there", "modprobe kvm", is_required=False)
    required = Finding("tun", False, "not there", "modprobe tun")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: present, lambda: optional))
    code, out, _ = vswitch("doctor", "-o", "json")
    assert code == 0
    assert [row["state"] for row in json.loads(out)] == ["ok", "without"]
    monkeypatch.setattr(doctor, "CHECKS", (lambda: present, lambda: optional, lambda: required))
    code, out, err = vswitch("doctor")
    assert code == 1
    assert "modprobe tun" in out and "tun" in err
