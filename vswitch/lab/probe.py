"""Runs inside a lab machine, namespace or QEMU: sends and watches marked frames, serves and tries connections.

 watch MARK SECONDS NICS PORTS...     print each marked frame that arrives, serve PORTS (tcp/80 udp/53) until ended
 send MARK NAME NICS MACS...          send marked frames out of every nic: broadcast, multicast, one to each MAC
 reach SECONDS TARGETS...             try all at once (icmp@ADDRESS, tcp/80@ADDRESS%NIC), print what answered

Standard library only, and one file: it is copied into guests.  NICS is a list with commas.  A marked frame has the
EtherType that IEEE 802 keeps for local experiments, and says who sent it, by which nic, and how it was addressed.
"""

import os
import select
import socket
import struct
import sys
import time

ETHERTYPE = 0x88B5
ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
BROADCAST = bytes([255] * 6)
GROUP = bytes.fromhex("01005e7f5356")      # an IPv4 group that nobody joins
COPIES = 2                                 # a frame may be lost to a full queue; two in a row hardly
ANSWER = b"vswitch probe"


def say(*words: object) -> None:
    print(*words, flush=True)


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def watch(mark: str, seconds: float, nics: str, ports: list[str]) -> None:
    watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    for nic in nics.split(","):
        member = struct.pack("iHH8s", socket.if_nametoindex(nic), PACKET_MR_PROMISC, 0, b"")
        watcher.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
    servers = [server for server in map(serve, ports) if server]
    say("ready")
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for readable in select.select([watcher, *servers], [], [], left)[0]:
            if readable is watcher:
                show(watcher, mark.encode(), nics.split(","))
            elif readable.type == socket.SOCK_DGRAM:
                readable.sendto(ANSWER, readable.recvfrom(2048)[1])
            else:
                readable.accept()[0].close()


def show(watcher: socket.socket, mark: bytes, nics: list[str]) -> None:
    """Print one arriving frame of ours: the nic, then what the frame says of itself."""
    frame, (nic, _, kind, _, _) = watcher.recvfrom(2048)
    if nic in nics and kind != socket.PACKET_OUTGOING and frame[14 : 14 + len(mark)] == mark:
        say("seen", nic, frame[14 + len(mark) :].rstrip(b"\0").decode(errors="replace").strip())


def serve(port: str) -> "socket.socket | None":
    """A listener of either IP version, or None when the machine has its own."""
    protocol, _, number = port.partition("/")
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    server = socket.socket(socket.AF_INET6, kind)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
    try:
        server.bind(("::", int(number)))
        if kind == socket.SOCK_STREAM:
            server.listen(16)
    except OSError:
        return None
    return server


def send(mark: str, name: str, nics: str, macs: list[str]) -> None:
    targets = {"broadcast": BROADCAST, "multicast": GROUP, **{mac: octets(mac) for mac in macs}}
    for nic in nics.split(","):
        before = sent_count(nic)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind((nic, 0))
            source = sender.getsockname()[4]
            for _ in range(COPIES):
                for how, target in targets.items():
                    words = f"{mark} {name} {nic} {how}".encode()
                    try:
                        sender.send(target + source + ETHERTYPE.to_bytes(2, "big") + words.ljust(64, b"\0"))
                    except OSError:
                        pass               # the nic is down; the count below says that nothing left
                    time.sleep(0.001)
        time.sleep(0.05)
        say("counted" if sent_count(nic) > before else "stuck", nic)


def sent_count(nic: str) -> int:
    with open(f"/sys/class/net/{nic}/statistics/tx_packets") as file:
        return int(file.read())


def reach(seconds: float, targets: list[str]) -> None:
    """All attempts side by side; each is asked again half way, for a first packet may wait for ARP."""
    attempts = {}
    for target in targets:
        try:
            attempt = start(target)
        except OSError:                    # no route
            continue
        attempts[attempt] = target
    deadline = time.monotonic() + seconds
    again = time.monotonic() + seconds / 2
    while attempts and (left := deadline - time.monotonic()) > 0:
        writers = [attempt for attempt in attempts if attempt.type == socket.SOCK_STREAM]
        readers = [attempt for attempt in attempts if attempt.type != socket.SOCK_STREAM]
        readable, writable, _ = select.select(readers, writers, [], min(left, max(again - time.monotonic(), 0.05)))
        for attempt in [*readable, *writable]:
            verdict = answered(attempt)
            if verdict is not None:
                if verdict:
                    say("answered", attempts[attempt])
                del attempts[attempt]
        if time.monotonic() >= again:
            again = deadline
            for attempt in readers:
                if attempt in attempts:
                    ask(attempt)


def start(target: str) -> socket.socket:
    what, _, where = target.partition("@")
    address, _, nic = where.partition("%")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    protocol, _, port = what.partition("/")
    if protocol == "icmp":
        version = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
        attempt = socket.socket(family, socket.SOCK_RAW, version)
    else:
        attempt = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    attempt.setblocking(False)
    if nic:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, nic.encode())
    try:
        attempt.connect((address, int(port or 0)))
    except BlockingIOError:
        pass
    if protocol == "icmp":
        discard(attempt)
    if protocol != "tcp":
        ask(attempt)
    return attempt


def discard(attempt: socket.socket) -> None:
    """Throw away what arrived before the raw socket was connected, which may be what another attempt is waiting for."""
    try:
        while attempt.recv(2048):
            pass
    except OSError:
        pass                               # nothing more, or an ICMP error that is not ours either


def ask(attempt: socket.socket) -> None:
    try:
        if attempt.type != socket.SOCK_RAW:
            attempt.send(ANSWER)
            return
        kind = 128 if attempt.family == socket.AF_INET6 else 8
        head = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, 1)
        words = head + ANSWER + b"\0"
        total = sum(struct.unpack(f"!{len(words) // 2}H", words))
        total = (total & 0xFFFF) + (total >> 16)
        total = ~(total + (total >> 16)) & 0xFFFF
        attempt.send(words[:2] + total.to_bytes(2, "big") + words[4:])
    except OSError:
        pass                               # an ICMP error that came meanwhile; the second try may do better


def answered(attempt: socket.socket) -> "bool | None":
    """True if the far end answered, False if it never will, None if that was not the answer yet."""
    if attempt.type == socket.SOCK_STREAM:
        return attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    try:
        octets_in = attempt.recv(2048)
    except OSError:
        return None
    if attempt.type == socket.SOCK_DGRAM:
        return True
    head = octets_in if attempt.family == socket.AF_INET6 else octets_in[20:]
    ours = head[4:6] == (os.getpid() & 0xFFFF).to_bytes(2, "big")
    return True if head[0] in (0, 129) and ours else None


if __name__ == "__main__":
    word, *rest = sys.argv[1:]
    if word == "watch":
        watch(rest[0], float(rest[1]), rest[2], rest[3:])
    elif word == "send":
        send(rest[0], rest[1], rest[2], rest[3:])
    elif word == "reach":
        reach(float(rest[0]), rest[1:])
