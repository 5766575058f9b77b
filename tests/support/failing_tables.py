"""Which system calls a driver makes, and every errno that their manual pages have for them.

`packet` and `tun` have the tables of the calls and those of packet(7) and of the kernel's TUN driver.
"""

from __future__ import annotations

from errno import (
    EACCES,
    EAGAIN,
    EALREADY,
    EBADF,
    EBADFD,
    ECONNREFUSED,
    ECONNRESET,
    EDESTADDRREQ,
    EDQUOT,
    EEXIST,
    EFAULT,
    EFBIG,
    EINTR,
    EINVAL,
    EIO,
    EISCONN,
    EISDIR,
    ELOOP,
    EMFILE,
    EMSGSIZE,
    ENETDOWN,
    ENFILE,
    ENOBUFS,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOTCONN,
    ENOTSOCK,
    ENXIO,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    EPIPE,
)

RECVMMSG = (EAGAIN, EBADF, ECONNREFUSED, EFAULT, EINTR, EINVAL, ENOMEM, ENOTCONN, ENOTSOCK)            # recv(2), recvmmsg(2)
PACKET = (EACCES, EFAULT, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, ENODEV, ENOENT, ENXIO)                  # packet(7)
SENDMMSG = (EACCES, EAGAIN, EALREADY, EBADF, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR, EINVAL, EISCONN, EMSGSIZE, ENOBUFS, ENOMEM,
            ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE, EPERM, EIO)                                         # send(2), sendmmsg(2)
READV = (EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR)                                            # read(2), readv(2)
WRITEV = (EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, EPERM, EPIPE)     # write(2), writev(2)
TUN = (EBADFD, EIO, ENETDOWN, ENOBUFS, ENOMEM, EMSGSIZE)

RX_CALLS = [("packet", "recvmmsg", number) for number in sorted({*RECVMMSG, *PACKET})]
RX_CALLS += [("tun", "readv", number) for number in sorted({*READV, *TUN})]
TX_CALLS = [("packet", "sendmmsg", number) for number in sorted({*SENDMMSG, *PACKET})]
TX_CALLS += [("tun", "writev", number) for number in sorted({*WRITEV, *TUN})]
# While frames flow: the notification of a guest, and the watchdog around it.
WORKER_CALLS = [("write", number) for number in WRITEV]
WORKER_CALLS += [("fcntl", number) for number in (EACCES, EAGAIN, EBADF, EINTR, EINVAL, EPERM)]
WORKER_CALLS += [("epoll_wait", number) for number in (EBADF, EFAULT, EINTR, EINVAL)]
# While a guest comes.
CONTROL_CALLS = [
    *(("recvmsg", number) for number in (EAGAIN, EBADF, ECONNREFUSED, ECONNRESET, EFAULT, EINTR, EINVAL, ENOMEM, ENOTCONN,
                                         ENOTSOCK)),
    *(("send", number) for number in (EACCES, EAGAIN, EBADF, ECONNRESET, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM, EPIPE)),
    *(("mmap", number) for number in (EACCES, EAGAIN, EBADF, EINVAL, ENFILE, ENODEV, ENOMEM, EPERM, EOVERFLOW)),
    *(("madvise", number) for number in (EACCES, EAGAIN, EBADF, EINVAL, EIO, ENOMEM, EPERM)),
    *(("fstat", number) for number in (EACCES, EBADF, EFAULT, ELOOP, ENOMEM, EOVERFLOW)),
    *(("fstatfs", number) for number in (EACCES, EBADF, EFAULT, EINTR, EIO, ENOMEM, EOVERFLOW)),
    *(("fcntl", number) for number in (EACCES, EAGAIN, EBADF, EINVAL, EMFILE, EPERM)),
    *(("epoll_ctl", number) for number in (EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM)),
]
