"""R1 to R7: the memory that a guest shares is mapped only where it is whole, plain and sealed, and never outlives its use."""

import fcntl
import gc
import os
import re
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from dataplane.sys.files import is_memory_file

from dataplane.ports.vhost_user import memory_table
from dataplane.ports.vhost_user.protocol import Request
from tests.support.frames import B, frame
from tests.support.guest import USER_BASE
from tests.support.guest_rings import GUEST_BASE, SharedMemory

MIB = 1 << 20
TOP = 1 << 64


@pytest.fixture
def switch(switch_with_a_pair):
    return switch_with_a_pair


@pytest.fixture
def guest(switch):
    guest = switch.plug("a")
    guest.negotiate()
    return guest


def shares(guest, regions, fds=None):
    return guest.order(Request.SET_MEM_TABLE, guest.table(regions), [guest.memory.fd] * len(regions) if fds is None else fds)


# R1: numbers.

RIGHT = (GUEST_BASE, MIB, USER_BASE, 0)


@pytest.mark.parametrize("regions", [
    [],
    [(GUEST_BASE, 0, USER_BASE, 0)],
    [(TOP - 4096, 2 * 4096, USER_BASE, 0)],
    [(GUEST_BASE, 2 * 4096, TOP - 4096, 0)],
    [(GUEST_BASE, 4096, USER_BASE, TOP - 4096)],
    [(GUEST_BASE, TOP - 4096, USER_BASE, 4096)],
    [(GUEST_BASE + 1, MIB, USER_BASE, 0)],
    [(GUEST_BASE, MIB + 1, USER_BASE, 0)],
    [(GUEST_BASE, MIB, USER_BASE + 8, 0)],
    [(GUEST_BASE, MIB, USER_BASE, 8)],
    [RIGHT, (GUEST_BASE + MIB - 4096, MIB, USER_BASE + 8 * MIB, 0)],
    [RIGHT, (GUEST_BASE + 8 * MIB, MIB, USER_BASE + MIB - 4096, 0)],
    [RIGHT, RIGHT],
], ids=str)
def test_r1_regions_that_contradict_themselves(guest, regions):
    assert not shares(guest, regions)
    assert shares(guest, [RIGHT])


def test_r1_the_number_of_regions_and_of_files(guest):
    regions = [(GUEST_BASE + k * MIB, MIB, USER_BASE + k * MIB, 0) for k in range(9)]
    assert shares(guest, regions[:8])
    assert not shares(guest, regions[:8], [guest.memory.fd] * 7)
    assert not shares(guest, regions[:7], [guest.memory.fd] * 8)
    for claimed, n in ((3, 2), (1 << 31, 1), (0, 1)):
        table = struct.pack("=2I", claimed, 0) + guest.table(regions[:n])[8:]
        assert not guest.order(Request.SET_MEM_TABLE, table, [guest.memory.fd] * n)
    assert shares(guest, regions[:1])


def test_r1_more_than_eight_regions(switch, guest):
    guest.say(Request.SET_MEM_TABLE, guest.table([(GUEST_BASE + k * MIB, MIB, USER_BASE + k * MIB, 0) for k in range(9)]),
              [guest.memory.fd] * 9)
    assert not switch.backends["a"].is_open


# R2, R3: files.

def test_r2_a_file_is_as_long_as_its_region(guest):
    assert not shares(guest, [(GUEST_BASE, guest.memory.octets + 4096, USER_BASE, 0)])
    assert not shares(guest, [(GUEST_BASE, guest.memory.octets, USER_BASE, 4096)])
    assert shares(guest, [(GUEST_BASE, guest.memory.octets - 4096, USER_BASE, 4096)])


def test_r2_a_region_ends_with_a_page_of_its_file(guest, monkeypatch):
    """Of huge pages: what is not whole can be mapped, and neither unmapped nor replaced when the file is truncated."""
    monkeypatch.setattr(memory_table, "octets_of_page", lambda fd: 2 * MIB)
    assert not shares(guest, [RIGHT])
    assert not shares(guest, [(GUEST_BASE, 2 * MIB, USER_BASE, MIB)])
    assert shares(guest, [(GUEST_BASE, 2 * MIB, USER_BASE, 0)])
    monkeypatch.setattr(memory_table, "octets_of_page", lambda fd: 4096)
    assert shares(guest, [RIGHT])                    # the control: of small pages it is whole


def test_r2_r3_only_plain_files_in_memory(switch, guest, tmp_path):
    on_disk = os.open(next(path for path in (tmp_path, "/var/tmp") if not is_tmpfs(path)), os.O_TMPFILE | os.O_RDWR)
    os.ftruncate(on_disk, MIB)
    wrong = [on_disk, os.open("/dev/zero", os.O_RDWR), *os.pipe(), os.eventfd(0), os.open("/", os.O_RDONLY)]
    backend = switch.backends["a"]
    for unsealed in (False, True):
        backend.memory.unsealed = unsealed
        for fd in wrong:
            assert not shares(guest, [RIGHT], [fd])
        assert shares(guest, [RIGHT])
    for fd in wrong:
        os.close(fd)


def is_tmpfs(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return is_memory_file(fd)
    finally:
        os.close(fd)


# R4: truncation.

def test_r4_memory_that_can_be_truncated_is_refused_unless_asked_for(switch):
    loose = SharedMemory(sealed=False)
    guest = switch.plug("a", memory=loose)
    guest.negotiate()
    assert not guest.share()
    fcntl.fcntl(loose.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    assert not guest.share()
    fcntl.fcntl(loose.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    assert guest.share()
    again = switch.plug_again("b", switch.port("b", driver="vhost_user"), unsealed=True, memory=SharedMemory(sealed=False))
    again.negotiate()
    assert again.share()


@pytest.mark.parametrize("when", ["it sends", "it receives", "its ring"])
def test_r4_a_guest_that_truncates_its_memory_loses_its_port(switch, when):
    memory = SharedMemory(sealed=False)
    guest = switch.guest("a", unsealed=True, memory=memory)
    guest.send(frame(dst=B, payload=bytes(1000)))
    switch.run()
    assert switch.condition("a") == ("up", "")
    if when == "it sends":
        guest.send(frame(dst=B, payload=bytes(1000)))
        os.ftruncate(memory.fd, memory.octets // 2)      # the buffer, not the rings
    elif when == "it receives":
        os.ftruncate(memory.fd, 16_384)                  # the rings and the first buffers stay
    else:
        os.ftruncate(memory.fd, 0)
    for _ in range(6):
        switch["x"].send(frame(src="02:00:00:00:0f:01"))
    switch.run()
    switch.run()
    assert switch.condition("a")[0] == "broken"
    assert "truncated" in switch.condition("a")[1]
    assert switch["y"].frames().count(frame(src="02:00:00:00:0f:01")) == 6
    switch.guests.pop("a").socket.close()                # its own mappings are gone as well


def test_r4_a_bus_error_elsewhere_still_ends_the_process():
    """The handler helps guests' memory and nothing else."""
    code = textwrap.dedent("""
        import mmap, os
        from tests.support.vhost_switch import VhostSwitch
        switch = VhostSwitch()
        switch.guest("a")
        fd = os.memfd_create("own")
        os.ftruncate(fd, 8192)
        own = mmap.mmap(fd, 8192)
        os.ftruncate(fd, 0)
        own[0] = 1
    """)
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == -7


# R5: old memory.

def test_r5_a_running_ring_moves_with_its_memory(switch):
    """SET_MEM_TABLE while frames flow: the rings are found anew, and nothing of the old mapping stays."""
    guest = switch.guest("a")
    guest.send(frame())
    switch.run()
    before = maps_of("guest")
    for k in range(1, 4):
        half = guest.memory.octets // 2
        regions = [(GUEST_BASE, half, USER_BASE, 0), (GUEST_BASE + half, half, USER_BASE + half, half)][: 1 + k % 2]
        if len(regions) == 1:
            regions = guest.regions()
        assert shares(guest, regions)
        guest.send(frame(payload=bytes([k]) * 60))
    assert [octets[14] for octets in switch.arrived()["y"]][-3:] == [1, 2, 3]
    assert maps_of("guest") <= before + 1


def test_r5_a_table_that_loses_a_running_ring_is_refused(switch):
    guest = switch.guest("a")
    assert not shares(guest, [(GUEST_BASE, 4096, USER_BASE + 64 * MIB, 0)])
    guest.send(frame())
    assert switch.arrived()["y"] == [frame()]


def test_r5_memory_goes_when_the_guest_goes(switch):
    before = maps_of("guest")
    guest = switch.guest("a")
    assert maps_of("guest") == before + 2            # the guest's own, and ours
    guest.close()
    switch.backends["a"].serve()
    assert maps_of("guest") == before
    del switch.guests["a"]


def maps_of(name):
    return len(re.findall(rf"memfd:{name}\b", Path("/proc/self/maps").read_text()))


# R6: who is charged.

def test_r6_only_what_is_used_is_touched(switch):
    """A guest with much memory costs us the pages that frames go through, not its size."""
    memory = SharedMemory(256 * MIB)
    guest = switch.guest("a", memory=memory)
    for _ in range(100):
        guest.send(frame())
    switch.run()
    assert os.fstat(memory.fd).st_blocks * 512 < 8 * MIB


# R7: how.

def test_r7_mapped_for_data_alone_and_left_out_of_dumps(switch):
    gc.collect()                                     # ports of earlier tests that nobody holds any more
    switch.guest("a")
    pattern = r"^[0-9a-f]+-[0-9a-f]+ (\S+) .*memfd:guest.*\n(?:[A-Z].*\n)*?VmFlags: (.*)$"
    smaps = re.findall(pattern, Path("/proc/self/smaps").read_text(), re.M)
    assert smaps
    assert all("x" not in protection for protection, _ in smaps)
    ours = [flags.split() for _, flags in smaps if "dd" in flags.split()]
    assert len(ours) == 3                            # of x, y and a; the others are the guests' own
    assert all("dc" in flags for flags in ours)
