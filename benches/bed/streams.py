"""Conversations between two namespaces: a TCP stream (iperf3), questions and answers, datagrams."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from benches.bed import generator
from benches.bed.bed import run, wait_for
from benches.frame.processors import Metrics
from vswitch.host.namespaces import inside

PORT = 5201
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
STREAM_S = 2


def tcp_stream(source: str, sink: str, address: str, seconds: int = STREAM_S) -> Metrics:
    """One TCP connection for some seconds; what arrived, in Gbit/s."""
    server = subprocess.Popen(["ip", "netns", "exec", sink, "iperf3", "-s", "-1", "-p", str(PORT)], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: f":{PORT}" in run(sink, "ss", "-Hltn"), "iperf3 listens")
        told = json.loads(run(source, "timeout", str(seconds + 15),
                              "iperf3", "-c", address, "-p", str(PORT), "-t", str(seconds), "-J"))
        server.wait(5)
    finally:
        server.kill()
        server.wait()
    return {"gbit_s": told["end"]["sum_received"]["bits_per_second"] / 1e9}


def questions(source: str, sink: str, address: str, seconds: float = 1.0) -> Metrics:
    """One octet to and fro over TCP, again and again: percentiles of the time of one question with its answer."""
    with inside(sink, lambda: socket.create_server((address, PORT))) as listener:
        asking = inside(source, lambda: socket.create_connection((address, PORT), timeout=5))
        answering, _ = listener.accept()
        with asking, answering:
            for end in (asking, answering):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=generator.answer, args=(answering.fileno(),))
            thread.start()
            try:
                found: Metrics = generator.ask(asking.fileno(), seconds)
            finally:
                asking.shutdown(socket.SHUT_RDWR)
                thread.join()
    return found


def datagrams(source: str, sink: str, address: str, size: int = 1400, together: int = 40, seconds: float = 1.0) -> Metrics:
    """Datagrams of `size` octets, handed to the kernel `together` at a time (UDP_SEGMENT) and taken as they come (UDP_GRO)."""
    def receiving() -> socket.socket:
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.bind((address, PORT))
        end.setsockopt(SOL_UDP, UDP_GRO, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        end.settimeout(0.1)
        return end

    def sending() -> socket.socket:
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.connect((address, PORT))
        end.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        return end

    with inside(sink, receiving) as sink_end, inside(source, sending) as source_end:
        sink_end.setblocking(True)
        sink_end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\0" * 8 + (100000).to_bytes(8, "little"))
        sent, octets = at_once(lambda: generator.send_datagrams(source_end.fileno(), size * together, seconds),
                               lambda: generator.receive_datagrams(sink_end.fileno(), seconds))
    return {"gbit_s": octets * 8 / seconds / 1e9, "delivered": octets / max(sent * size * together, 1)}


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """What the functions return that run in a thread each."""
    results: list[Any] = [None] * len(functions)

    def call(at: int) -> None:
        results[at] = functions[at]()

    threads = [threading.Thread(target=call, args=(at,)) for at in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
