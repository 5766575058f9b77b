"""What a switch refuses changes nothing: an address that is another port's, more addresses than the table holds."""

from __future__ import annotations

import pytest

from tests.support.frames import A, B, frame
from tests.support.memory_switch import MemorySwitch, vlan_config


def test_an_address_registered_twice_is_refused_and_the_first_port_keeps_it(switch):
    switch.port("a", learning="off", mac=A)
    switch.port("b", learning="off", mac=B)
    with pytest.raises(FileExistsError):
        switch.port("c", learning="off", mac=A)
    with pytest.raises(FileExistsError):
        switch.set("b", mac=A)
    assert [port["config"]["mac"] for port in switch.core.ports()] == [A, B]
    assert switch.fdb() == {(0, A, "a"), (0, B, "b")}
    switch.send("b", frame(A, B))
    assert switch.sent() == {"a": [frame(A, B)]}


def test_in_another_vlan_the_same_address_is_another_station(switch):
    switch.port("a", access=10, learning="off", mac=A)
    switch.port("b", access=20, learning="off", mac=A)
    with pytest.raises(FileExistsError):
        switch.set("b", vlan=vlan_config(access=10))
    assert switch.fdb() == {(10, A, "a"), (20, A, "b")}


def test_quotas_that_do_not_fit_the_table_are_refused():
    with MemorySwitch(fdb_capacity=100) as switch:
        switch.port("a", max_macs=60)
        with pytest.raises(OSError, match="max_macs"):
            switch.port("b", max_macs=41)
        switch.port("b", max_macs=40)
        with pytest.raises(OSError, match="max_macs"):
            switch.set("b", max_macs=41)
        switch.set("b", max_macs=39)


def test_a_shorter_ageing_frees_the_quota_at_once(switch):
    switch.port("a", max_macs=1)
    switch.port("b")
    switch.send("a", frame(src=A))
    switch.wait(20)
    switch.core.switch_set({"ageing_s": 10})
    switch.sent()
    switch.send("a", frame(src=B))
    assert switch.sent() == {"b": [frame(src=B)]}
