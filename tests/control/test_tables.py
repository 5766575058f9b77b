"""Tables on a terminal and on a pipe: names and addresses are never cut, whatever the width."""

from __future__ import annotations

import sys

import pytest

from vswitch.cli import show
from vswitch.cli._output import print_table
from vswitch.cli.show import PORT_COLUMNS, PORT_OPTIONAL

MAC = "02:f1:55:aa:bb:cc"
LONG = "webserver-in-the-dmz.outside"
ROW = [LONG, "vswitch1", "trunk 10,20-29 native 10", "no-carrier", MAC, 12345678, 23456789, 345, 99999999, 888888888,
       "webse-outside"]


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Print on a terminal of so many columns; the lines."""
    def printed(columns, *arguments, **options):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "dumb")
        print_table(*arguments, **options)
        return capsys.readouterr().out.splitlines()
    return printed


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 132, 250])
def test_no_width_cuts_a_name_or_an_address(terminal, columns):
    lines = terminal(columns, "", PORT_COLUMNS, [ROW, ["b.eth0", *ROW[1:]]], optional=PORT_OPTIONAL)
    assert len(lines) == 3, "one line a port"
    for word in (LONG, MAC, "no-carrier"):
        assert word in lines[1]
    assert "…" not in "".join(lines)


def test_eighty_columns_have_room_for_what_matters(terminal):
    row = ["alice.eth0", "vswitch1", "20", "up", MAC, 115, 99, 3, 10122, 8871, "alice-eth0"]
    lines = terminal(80, "", PORT_COLUMNS, [row], optional=PORT_OPTIONAL)
    assert all(len(line) <= 80 for line in lines)
    assert {"PORT", "SWITCH", "VLAN", "STATE", "MAC", "DROPS"} <= set(lines[0].split())
    assert "BYTES" not in lines[0] and "INTERFACE" not in lines[0]
    wide = terminal(250, "", PORT_COLUMNS, [row], optional=PORT_OPTIONAL)      # the control: where there is room all are there
    assert "RX BYTES" in wide[0] and "INTERFACE" in wide[0]


def test_prose_goes_on_below_and_keeps_every_word(terminal):
    sentence = "The source address belongs to another port of this switch, and so the frame was dropped here."
    lines = terminal(60, "", ["reason", "what it means"], [["source_elsewhere", sentence]])
    assert len(lines) > 2 and all(len(line) <= 60 for line in lines)
    assert " ".join(" ".join(lines[1:]).split()).replace("source_elsewhere ", "") == sentence


def test_a_pipe_gets_every_column(capsys):
    print_table("", PORT_COLUMNS, [ROW], optional=PORT_OPTIONAL)
    head, line = capsys.readouterr().out.splitlines()
    assert "INTERFACE" in head and "RX BYTES" in head and line.split()[0] == LONG


def test_wide_shows_what_a_narrow_terminal_leaves_out(monkeypatch, capsys):
    row = dict.fromkeys(("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "tx_drops"), 1) | {
        "name": "a.eth0", "switch": "s", "topology": "t", "vlan": "none", "state": "up", "mac": MAC, "interface": "a-eth0",
        "drops": {}, "why": ""}
    monkeypatch.setattr(show, "rows_of", lambda read, topology: [row])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    for output, has_bytes in (("table", False), ("wide", True)):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        show.ports.callback(topology=None, output=output)
        assert ("RX BYTES" in capsys.readouterr().out) is has_bytes
