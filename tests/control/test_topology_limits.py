"""Small files that would cost much are refused, with a sentence, before they do; what is large and sensible is read."""

from __future__ import annotations

import os

import pytest

from vswitch.cli._named import find_file
from vswitch.errors import TopologyError
from vswitch.topology import load, loads, reader, text_of
from vswitch.topology.draft import TOPOLOGY_PORTS_MAX, Draft
from vswitch.topology.mistakes import MISTAKES_MAX

HEAD = "schema: vswitch/v1\nname: t\nswitches: {s: {}}\n"


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        loads(text, "t.yaml")
    return caught.value.mistakes


def guests(n: int, rest: str, switch: str = "s") -> str:
    return "guests:\n" + "".join(f"  g{i}: {{switch: {switch}{rest}}}\n" for i in range(n))


def test_more_ports_than_a_topology_has_are_counted_and_not_made(monkeypatch):
    made = []
    monkeypatch.setattr(Draft, "__init__", lambda self, **values: made.append(values))
    (text,) = mistakes_of(HEAD + guests(20, ", count: 1024, attach: vhost_user"))
    assert f"more than {TOPOLOGY_PORTS_MAX} ports" in text and "guests.g8" in text and not made


def test_as_many_ports_as_a_topology_may_have_are_read():
    """The control: eight full switches."""
    switches = ", ".join(f"s{i}: {{}}" for i in range(8))
    text = f"schema: vswitch/v1\nname: t\nswitches: {{{switches}}}\nguests:\n" + "".join(
        f"  g{i}: {{switch: s{i}, count: 1024, attach: vhost_user}}\n" for i in range(8))
    assert len(loads(text, "t.yaml").ports) == TOPOLOGY_PORTS_MAX


@pytest.mark.parametrize("text", [HEAD + guests(20_000, ""), HEAD + "".join(f"k{i}: 1\n" for i in range(40_000))],
                         ids=["guests", "unknown keys"])
def test_a_map_of_very_many_keys_ends_the_reading_where_it_grows_too_long(text, monkeypatch):
    composed = []
    original = reader._BoundedComposer.compose_node
    monkeypatch.setattr(reader._BoundedComposer, "compose_node",
                        lambda self, parent, index: composed.append(1) or original(self, parent, index))
    (mistake,) = mistakes_of(text)
    assert "a map of more than 4096 keys; `count` makes many guests of one" in mistake
    assert mistake.startswith("t.yaml:4") and len(composed) < 5 * reader.ENTRIES_MAX, "the rest is not read"


def test_very_many_values_end_the_reading():
    assert "more than 100000 values" in mistakes_of(HEAD + "x: [" + "1," * 120_000 + "1]\n")[0]


def test_mistakes_without_end_end_after_the_first_hundred():
    mistakes = mistakes_of(HEAD + guests(4000, ", kk: 1, attach: vhost_user"))
    assert len(mistakes) == MISTAKES_MAX + 1
    assert mistakes[-1] == "t.yaml: the first 100 mistakes that were found; mend these, and look again"
    assert sum(map(len, mistakes)) < 100_000
    few = mistakes_of(HEAD + guests(MISTAKES_MAX - 1, ", kk: 1, attach: vhost_user"))
    assert len(few) == MISTAKES_MAX - 1 and "unknown key `kk`" in few[-1]


@pytest.mark.parametrize(("path", "words"), [
    ("/dev/zero", "larger than 1024 KiB"), ("/dev/null", "the file is empty"), ("/", "Is a directory"),
    ("/dev/urandom", "not UTF-8")])
def test_a_file_without_end_gets_a_sentence(path, words):
    with pytest.raises(TopologyError, match=words):
        load(path)


def test_a_file_is_read_up_to_its_limit_and_a_pipe_may_be_one(tmp_path):
    file = tmp_path / "sparse.yaml"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)                     # a terabyte that takes no room
    with pytest.raises(TopologyError, match="larger than 1024 KiB"):
        load(file)
    source, sink = os.pipe()
    os.write(sink, HEAD.encode())
    os.close(sink)
    assert text_of(f"/dev/fd/{source}") == HEAD
    os.close(source)


def test_pipes_and_devices_of_the_directory_are_not_looked_into(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "real.yaml").write_text(HEAD)
    monkeypatch.chdir(tmp_path)
    assert find_file(None) == "real.yaml"
