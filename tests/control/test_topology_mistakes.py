"""What is wrong in a topology file: one clear sentence at its place, the offending line beneath, exit code 2, nothing changed."""

import pytest

from tests.support.topologies import mistake_at, mistakes_of
from vswitch.cli import main
from vswitch.errors import TopologyError
from vswitch.topology import load, loads

GOOD = """\
schema: vswitch/v1
name: t
physical_networks: {lan: {stations: {desk: {addresses: [10.0.0.9/24]}}}}
uplinks: {wan: {interface: eth1, physical_network: lan}}
switches: {s1: {uplinks: [wan]}, s2: {}}
portgroups: {dmz: {switch: s2}}
guests:
  a: {switch: s1, mac: "52:54:00:00:00:01", addresses: [10.0.0.1/24]}
  b: {portgroup: dmz}
host: {mgmt: {switch: s1}}
expect: [{from: a, to: lan, reach: true}]
"""
A, B = (next(line for line in GOOD.splitlines(keepends=True) if line.startswith(f"  {name}:")) for name in "ab")

# What is asked for by name: the file, where the caret points, and words of the sentence.
CLASSIC = {
    "unknown key": (GOOD.replace("mac:", "mca:"), "mca", 1, "unknown key `mca`; did you mean `mac`?"),
    "wrong type": (GOOD.replace("switches: {s1: {uplinks: [wan]}", "switches: {s1: 7"), "7", 1, "`7` was found; expected a map"),
    "duplicate key": (GOOD.replace(B, B + "  a: {switch: s1}\n"), "a: {switch: s1}", 1,
                      "`a` is written twice; the first is on line 8"),
    "duplicate MAC": (GOOD.replace("{portgroup: dmz}", '{switch: s1, mac: "52-54-00-00-00-01"}'), '"52-', 1,
                      "the MAC address `52:54:00:00:00:01` of `b.eth0` is that of `a.eth0` too"),
    "two domains": (GOOD.replace(B, "  b: {nics: {x: {switch: s1}, y: {switch: s2}}}\n"), "b: {nics", 1,
                    "has nics in 2 broadcast domains (`s1` and `s2`); write `role: multihomed`"),
    "VLAN 4095": (GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, vlan: 4095}"), "4095", 1, "4095 is reserved; use 1-4094"),
    "unknown port group": (GOOD.replace("{portgroup: dmz}", "{portgroup: dnz}"), "dnz", 1,
                           "unknown port group `dnz`; did you mean `dmz`?"),
    "missing interface": (GOOD.replace("interface: eth1, ", ""), "wan: {phys", 1, "the key `interface` is missing"),
    "long interface name": (GOOD.replace("interface: eth1", "interface: enp0s31f6adapter"), "enp0s31f6adapter", 1,
                            "`enp0s31f6adapter` has 16 characters; the kernel's interface names have at most 15"),
    "not YAML": (GOOD.replace("[wan]}", "[wan}"), "}, s2", 1, "this is not YAML"),
}


def test_the_control_has_no_mistake():
    assert loads(GOOD, "t.yaml").ports.keys() == {"wan", "a.eth0", "b.eth0", "host.mgmt"}


@pytest.mark.parametrize("case", CLASSIC)
def test_each_mistake_is_one_sentence_at_its_place(case):
    text, spot, nth, words = CLASSIC[case]
    assert words in mistake_at(text, spot, nth)


@pytest.mark.parametrize("case", CLASSIC)
def test_each_ends_the_command_with_2_and_starts_nothing(case, tmp_path, monkeypatch, capsys):
    """`up` reads before it asks: no vswitchd is started, nothing is written, stdout is empty."""
    file, run_dir = tmp_path / "t.yaml", tmp_path / "run"
    file.write_text(CLASSIC[case][0])
    monkeypatch.setenv("VSWITCH_RUN", str(run_dir))
    with pytest.raises(SystemExit) as end:
        main(["up", str(file)])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert err.startswith(f"{file}:") or f" {file}:" in err
    assert CLASSIC[case][3] in err and "Traceback" not in err
    assert not run_dir.exists()


OTHERS = {
    "a name that is none": (GOOD.replace("name: t", "name: über"), "über", "is no name"),
    "another schema": (GOOD.replace("vswitch/v1", "vswitch/v2"), "vswitch/v2", "expected `vswitch/v1`"),
    "unknown switch": (GOOD.replace("a: {switch: s1", "a: {switch: s3"), "s3", "unknown switch `s3`"),
    "unknown switch of a port group": (GOOD.replace("dmz: {switch: s2}", "dmz: {switch: s9}"), "s9", "unknown switch `s9`"),
    "unknown uplink": (GOOD.replace("[wan]", "[van]"), "van", "unknown uplink `van`; did you mean `wan`?"),
    "uplink on two switches": (GOOD.replace("s2: {}", "s2: {uplinks: [wan]}"), "wan]}}", "is already on switch `s1`"),
    "uplink on no switch": (GOOD.replace("uplinks: [wan]", ""), "wan: {int", "is on no switch"),
    "unknown network": (GOOD.replace("physical_network: lan", "physical_network: lam"), "lam", "unknown physical network"),
    "neither switch nor port group": (GOOD.replace("{portgroup: dmz}", "{}"), "b: {}", "neither `switch` nor `portgroup`"),
    "both": (GOOD.replace("{portgroup: dmz}", "{switch: s2, portgroup: dmz}"), "portgroup: dmz}", "stands beside `switch`"),
    "a guest without a nic": (GOOD.replace("{portgroup: dmz}", "{nics: {}}"), "nics: {}", "expected at least one"),
    "a nic's key at the guest": (GOOD.replace("{portgroup: dmz}", "{vlan: 5, nics: {x: {portgroup: dmz}}}"), "vlan: 5",
                                 "`vlan` stands beside `nics`"),
    "a group address": (GOOD.replace("52:54", "53:54"), '"53:54', "is a group address"),
    "no address": (GOOD.replace("10.0.0.1/24", "10.0.0.1"), "10.0.0.1]", "no address with prefix length"),
    "one address twice": (GOOD.replace("mgmt: {switch: s1}", "mgmt: {switch: s1, addresses: [10.0.0.1/24]}"), "10.0.0.1/24]}}",
                          "the address 10.0.0.1 of `host.mgmt` is that of `a.eth0` too"),
    "a gateway that is no neighbour": (GOOD.replace("[10.0.0.1/24]", "[10.0.0.1/24], routes: {default: 10.9.9.9}"), "10.9.9.9",
                                       "is in no network of this port"),
    "an interface twice": (GOOD.replace("mgmt:", "eth1:"), "eth1: {switch", "is that of `wan` too"),
    "a long TAP name": (GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, tap: a-guest-of-many-eth0}"), "tap: a-guest",
                        "`a-guest-of-many-eth0` has 20 characters"),
    "owner and group": (GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, tap: {owner: kvm, group: kvm}}"), "group: kvm",
                        "expected one of the two"),
    "a guest called host": (GOOD.replace("  b:", "  host:"), "host:", "cannot be named `host`"),
    "learning off without an address": (GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, learning: off}"), "learning",
                                        "has `learning: off` and no `mac`"),
    "a word for yes": (GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, isolated: maybe}"), "maybe", "neither true nor false"),
    "a rate without a unit": (GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, storm_control: {broadcast: 1000}}"), "1000}",
                              "1000 has no unit; expected a packet rate such as `1000pps`"),
    "a feature to come": (GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, bandwidth: {limit: 1gbit}}"), "bandwidth",
                          "`bandwidth` is not supported yet"),
    "a tab": (GOOD.replace("  a:", "\ta:"), "\ta:", "this is not YAML"),
    "a tag": (GOOD.replace("name: t", "name: !!python/object:os.system t"), "!!python", "write a plain value"),
    "a list": ("- a\n- b\n", "- a", "a list was found; a topology is a map"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_others(case):
    text, spot, words = OTHERS[case]
    assert words in mistake_at(text, spot)


def test_all_mistakes_come_at_once_in_the_file_s_order():
    text = GOOD.replace("interface: eth1", "interface: enp0s31f6adapter").replace("mac:", "mca:")
    text = text.replace("portgroup: dmz}", "vlan: 0}")
    lines = [int(mistake.split(":")[1]) for mistake in mistakes_of(text)]
    assert lines == [4, 8, 9, 9]


def test_an_empty_file_and_one_that_is_no_text(tmp_path):
    assert "the file is empty" in mistakes_of("")[0]
    (tmp_path / "t.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(TopologyError, match="octet 6 is not UTF-8"):
        load(tmp_path / "t.yaml")
    with pytest.raises(TopologyError, match="No such file"):
        load(tmp_path / "none.yaml")


def test_a_small_file_cannot_become_a_huge_one():
    """Aliases that double twenty times, and brackets without end."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 24)]
    assert "aliases make the file larger" in mistakes_of("\n".join(lines))[0]
    assert "nested" in mistakes_of("a: " + "[" * 5000 + "]" * 5000)[0]
    assert "larger than 1024 KiB" in mistakes_of("#" * (1 << 20) + "\nname: t\n")[0]


def test_rules_that_a_file_names_must_be_there(tmp_path):
    text = GOOD.replace("{portgroup: dmz}", "{portgroup: dmz, run: {nftables: b.nft}}")
    with pytest.raises(TopologyError, match=r"no file .*b\.nft"):
        loads(text, "t.yaml", tmp_path)
    (tmp_path / "b.nft").write_text("")
    assert loads(text, "t.yaml", tmp_path).guests["b"].run.nftables == "b.nft"
