"""Runs inside a lab machine, namespace or QEMU: octets over TCP and UDP, with their checksums.

 receive PORT                   take one TCP connection; print how many octets came, and their checksum
 send ADDRESS PORT N            N octets over TCP; print the same, and the largest segment that the connection uses
 pieces ADDRESS PORT N          the same in N writes of random sizes
 echo PORT N                    send N datagrams back to where they came from
 datagrams ADDRESS PORT SIZES   one datagram of each size; print the sizes that came back with the same octets

Standard library only, and one file: it travels to the machine as an argument of python3.
"""

import hashlib
import random
import socket
import sys

BLOCK = 1 << 16
WAIT_S = 30.0


def say(*words: object) -> None:
    print(*words, flush=True)


def blocks(n: int):
    """`n` random octets, another block each time: one that is lost, doubled or moved changes the checksum."""
    base = random.Random(n).randbytes(BLOCK)
    for index in range(-(-n // BLOCK)):
        yield (index.to_bytes(8, "big") + base[8:])[: n - index * BLOCK]


def pieces(n: int):
    chance = random.Random(n)
    for _ in range(n):
        yield chance.randbytes(chance.choice((1, 2, chance.randrange(3, 100), chance.randrange(2000), chance.randrange(70000))))


def receive(port: int) -> None:
    with socket.create_server(("", port)) as server:
        server.settimeout(WAIT_S)
        say("ready")
        connection, _ = server.accept()
    digest, count = hashlib.sha256(), 0
    room = bytearray(1 << 20)
    with connection:
        connection.settimeout(WAIT_S)
        while n := connection.recv_into(room):
            digest.update(memoryview(room)[:n])
            count += n
        connection.sendall(b".")           # the sender stays until everything has been counted
    say(count, digest.hexdigest())


def send(address: str, port: int, parts) -> None:
    digest, count = hashlib.sha256(), 0
    with socket.create_connection((address, port), WAIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octets in parts:
            connection.sendall(octets)
            digest.update(octets)
            count += len(octets)
        largest = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    say(count, digest.hexdigest(), largest)


def echo(port: int, n: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", port))
        server.settimeout(WAIT_S)
        say("ready")
        for _ in range(n):
            server.sendto(*server.recvfrom(1 << 16))


def datagrams(address: str, port: int, sizes: list[int]) -> None:
    chance = random.Random(len(sizes))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, port))
        client.settimeout(WAIT_S)
        for size in sizes:
            octets = chance.randbytes(size)
            client.send(octets)
            if client.recv(1 << 16) == octets:
                say(size)


if __name__ == "__main__":
    word, *rest = sys.argv[1:]
    if word == "receive":
        receive(int(rest[0]))
    elif word == "send":
        send(rest[0], int(rest[1]), blocks(int(rest[2])))
    elif word == "pieces":
        send(rest[0], int(rest[1]), pieces(int(rest[2])))
    elif word == "echo":
        echo(int(rest[0]), int(rest[1]))
    elif word == "datagrams":
        datagrams(rest[0], int(rest[1]), [int(size) for size in rest[2].split(",")])
