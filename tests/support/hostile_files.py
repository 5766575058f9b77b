"""An emulator whose files are served by itself, and whose server stops answering: FUSE, in a mount namespace of its own.

    python -m tests.support.hostile_files SOCKET KIND FOLDER

Connects to a port's socket as a guest's emulator, sends such a file where memory or an eventfd belongs (KIND: `memory`,
`kick`, or `many`), says `sent`, and goes on until its stdin is closed.  Its server then has never answered FLUSH, GETATTR or
STATFS, so fstat(2), fstatfs(2) and close(2) of the descriptor wait for it without an end.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import threading

from dataplane.ports.vhost_user.protocol import Request
from tests.support.guest import Guest, u64

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 1 << 18
LOOKUP, FORGET, GETATTR, OPEN, STATFS, FLUSH, INIT, OPENDIR = 1, 2, 3, 14, 17, 25, 26, 27
HEADER = struct.Struct("=IIQQIII")
ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")
OCTETS = 4 << 20
ENOSYS = 38
libc = ctypes.CDLL(None, use_errno=True)


def attributes(inode: int, mode: int) -> bytes:
    return ATTRIBUTES.pack(inode, OCTETS, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(device: int) -> None:
    """Answer what is needed to open the file, and nothing of what is asked about it later."""
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError:
            return
        _, operation, unique, inode, *_ = HEADER.unpack_from(request)
        answers = {
            INIT: struct.pack("=IIIIHHIIHHI7I", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, *[0] * 7),
            LOOKUP: struct.pack("=QQQQII", 2, 0, 0, 0, 0, 0) + attributes(2, 0o100666),
            OPEN: struct.pack("=QII", 1, 0, 0),
            OPENDIR: struct.pack("=QII", 1, 0, 0),
        }
        if operation == GETATTR and inode == 1:
            answers[GETATTR] = struct.pack("=QII", 0, 0, 0) + attributes(1, 0o40777)
        if operation in (FORGET, GETATTR, STATFS, FLUSH) and operation not in answers:
            continue
        body = answers.get(operation)
        error = 0 if body is not None else -ENOSYS
        os.write(device, struct.pack("=IiQ", 16 + len(body or b""), error, unique) + (body or b""))


def mount(folder: str) -> int:
    """The device of a file system that is mounted at `folder`, for this process alone."""
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "unshare")
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"hostile", folder.encode(), b"fuse.hostile", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    threading.Thread(target=serve, args=(device,), daemon=True).start()
    return device


def main() -> None:
    path, kind, folder = sys.argv[1:]
    device = mount(folder)
    file = os.open(f"{folder}/x", os.O_RDWR | os.O_CLOEXEC)
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    guest = Guest(client)
    guest.negotiate()
    if kind == "kick":
        guest.share()
        guest.say(Request.SET_VRING_KICK, u64(0), [file])
    elif kind == "many":
        guest.say(Request.SET_MEM_TABLE, guest.table(), [file] * 8)
    else:
        guest.say(Request.SET_MEM_TABLE, guest.table(), [file])
    print("sent", flush=True)
    sys.stdin.read()
    os.close(device)                   # and with it the file system
    os._exit(0)                        # an ordinary end would close the file before that, and wait for ourselves


if __name__ == "__main__":
    main()
