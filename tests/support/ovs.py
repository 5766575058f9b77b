"""An Open vSwitch of its own: private database and sockets in a temporary directory, dummy ports, a clock that is told.

Its ports are objects inside ovs-vswitchd: frames go in as hex by its control socket and come out as pcap files, so nothing
of the machine is touched and neither root nor an interface is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.frames import frame, mac
from tests.support.waiting import eventually

PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
SENTINEL_VID = 4000                    # a VLAN that no test uses
SENTINEL = "02:5e:00:00:00:01"         # and an address


def lacks_ovs() -> str:
    """Why these tests cannot run here, or ""."""
    if SCHEMA.exists() and all(shutil.which(program, path=path()) for program in PROGRAMS):
        return ""
    return "needs Open vSwitch; apt-get install openvswitch-switch"


def path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Ovs:
    """One bridge named br0.  `port` adds a dummy port, `send` and `sent` are those of MemorySwitch."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = {**os.environ, "PATH": path(), "OVS_RUNDIR": str(directory), "OVS_DBDIR": str(directory)}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._read: dict[str, int] = {}                        # octets of each capture that `sent` has read
        self._n_sentinels = 0

    def start(self) -> None:
        database, at = f"unix:{self._directory}/db.sock", str(self._directory)
        self._run("ovsdb-tool", "create", f"{at}/conf.db", str(SCHEMA))
        self._spawn("ovsdb-server", f"{at}/conf.db", f"--remote=punix:{at}/db.sock", f"--unixctl={at}/db.ctl")
        eventually((self._directory / "db.sock").exists)
        self._vsctl("init")
        self._spawn("ovs-vswitchd", database, "--enable-dummy=override", "--disable-system", f"--unixctl={at}/vs.ctl")
        eventually((self._directory / "vs.ctl").exists)
        self._vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath-type=dummy", "fail-mode=standalone",
                    "other-config:mac-aging-time=300")
        self.port("sentinel-in", f"tag={SENTINEL_VID}")
        self.port("sentinel-out", f"tag={SENTINEL_VID}")
        self._call("time/stop")

    def bridge(self, *columns: str) -> None:
        self._vsctl("set", "bridge", "br0", *columns)

    def port(self, name: str, *columns: str) -> None:
        """Add a port with these columns of the Port table (`tag=10`, `vlan_mode=native-tagged`, `protected=true`)."""
        capture = self._directory / f"{name}.pcap"
        self._vsctl("add-port", "br0", name, *columns, "--", "set", "interface", name, "type=dummy", f"options:tx_pcap={capture}")
        eventually(lambda: capture.exists() and capture.stat().st_size >= 24)
        self._read[name] = 24                                  # behind the file header

    def send(self, name: str, *frames: bytes) -> None:
        self._call("revalidator/purge")                        # decide anew, not from the flow cache
        for octets in frames:
            self._call("netdev-dummy/receive", name, octets.hex())
        self._settle()

    def sent(self) -> dict[str, list[bytes]]:
        """What left each port since the last call; ports that nothing left are left out."""
        found = {}
        for name in self._read:
            frames = [octets for octets in self._take(name) if octets[6:12] != mac(SENTINEL)]
            if frames:
                found[name] = frames
        return found

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self._call("time/warp", str(seconds * 1000), "30000")
        self._settle()

    def fdb(self) -> set[tuple[int, str, str]]:
        """(vlan, mac, port) of every entry."""
        names = {number: name for name, number in re.findall(r"^ +(\S+) (\d+)/", self._call("dpif/show"), re.M)}
        rows = [line.split() for line in self._call("fdb/show", "br0").splitlines()[1:]]
        return {(int(vlan), mac, names[port]) for port, vlan, mac, _ in rows if int(vlan) != SENTINEL_VID}

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(10)

    def _settle(self) -> None:
        """Wait until everything sent so far has been forwarded: a later frame of another VLAN has come through, and the
        round of the main loop that it came through in has ended."""
        self._n_sentinels += 1
        mark = self._n_sentinels.to_bytes(4, "big")
        self._call("netdev-dummy/receive", "sentinel-in", frame(src=SENTINEL, payload=mark + bytes(42)).hex())
        for _ in range(10_000):
            self._call("version")                              # a round of the main loop
            if any(octets[14:18] == mark for octets in self._take("sentinel-out")):
                break
        else:
            raise AssertionError("a frame that all tests of Open vSwitch rely on has not come through")
        self._call("version")

    def _take(self, name: str) -> list[bytes]:
        data = (self._directory / f"{name}.pcap").read_bytes()
        at, taken = self._read[name], []
        while at + 16 <= len(data):
            length = struct.unpack_from("=I", data, at + 8)[0]
            if at + 16 + length > len(data):
                break
            taken.append(data[at + 16 : at + 16 + length])
            at += 16 + length
        self._read[name] = at
        return taken

    def _call(self, method: str, *arguments: str) -> str:
        """One command of ovs-appctl(8), without its process."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self._directory / "vs.ctl"))
            connection.sendall(json.dumps({"id": 0, "method": method, "params": arguments}).encode())
            answer = b""
            while True:
                answer += connection.recv(1 << 20)
                with contextlib.suppress(ValueError):
                    reply = json.loads(answer)
                    break
        assert reply["error"] is None, reply["error"]
        return str(reply["result"])

    def _vsctl(self, *words: str) -> None:
        wait = ["--no-wait"] if words == ("init",) else ["--timeout=20"]
        self._run("ovs-vsctl", f"--db=unix:{self._directory}/db.sock", *wait, *words)

    def _run(self, *words: str) -> None:
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _spawn(self, *words: str) -> None:
        log = f"--log-file={self._directory}/{words[0]}.log"
        self._processes.append(subprocess.Popen([*words, "--no-chdir", log, "-vconsole:off"], env=self._environment,
                                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


@contextlib.contextmanager
def open_vswitch() -> Iterator[Ovs]:
    with tempfile.TemporaryDirectory(prefix="vs-ovs-") as directory:
        ovs = Ovs(Path(directory))
        try:
            ovs.start()
            yield ovs
        finally:
            ovs.stop()
