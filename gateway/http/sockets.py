"""Socket options by which the kernel notices a peer that has vanished."""

from __future__ import annotations

import socket
from typing import Protocol

# A quiet connection is asked after IDLE_S, then every INTERVAL_S; after PROBES without an answer it is lost: 45 s.
IDLE_S, INTERVAL_S, PROBES = 20, 5, 5
# What is sent and not acknowledged for so long, or not taken for want of room, loses the connection. The kernel's own
# limit would be a quarter of an hour.
UNACKNOWLEDGED_S = 45


# Of `struct tcp_info`: the state in its first byte, and where the count of segments begins that are not acknowledged.
_CLOSE_WAIT, _UNACKED_AT = 8, 24


class HasOptions(Protocol):
    """A socket; uvloop's are only like one."""

    @property
    def family(self) -> int: ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes: ...


def see_vanishing(sock: HasOptions) -> None:
    """Set it on a connection, or on a listening socket for all that it accepts."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, IDLE_S),
        (socket.TCP_KEEPINTVL, INTERVAL_S),
        (socket.TCP_KEEPCNT, PROBES),
        (socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_S * 1000),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def taken(sock: HasOptions) -> bool:
    """Whether a peer that has ended its side may have read what was sent to it; to be asked at the end of its stream.

    A kernel that gets data for a connection that its program has closed, or closes one with data in it that was not
    read, answers with a reset. One that has acknowledged all and sends a regular end has had it read.
    """
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED_AT + 4)
    except OSError:  # no TCP
        return True
    return info[0] == _CLOSE_WAIT and info[_UNACKED_AT:] == b"\0\0\0\0"
