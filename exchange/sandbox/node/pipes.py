"""What the node's processes say to each other, over the socket pairs that the launcher made. Stdlib only.

Control (launcher and gate): one JSON object per packet, with at most one descriptor. Requests (gate to
vault): a length and one JSON object; the vault answers in frames (see frames.py).
"""

import json
import os
import socket
import struct
from typing import Any

LENGTH = struct.Struct("<I")
MOST_REQUEST = 8 << 20  # bytes
_PACKET = 1 << 16


def control() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def vault() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def say(to: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> None:
    """One packet. Raises OSError where nobody listens."""
    socket.send_fds(to, [json.dumps(message).encode()], [] if descriptor is None else [descriptor])


def hear(on: socket.socket) -> tuple[dict[str, Any] | None, int | None]:
    """The next packet and its descriptor; None where the other side is gone. Raises ValueError, OSError."""
    data, descriptors, _, _ = socket.recv_fds(on, _PACKET, 1)
    if not data:
        return None, None
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("no object")
    return message, descriptors[0] if descriptors else None


def pack(request: dict[str, Any]) -> bytes:
    body = json.dumps(request, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def read_request(descriptor: int) -> dict[str, Any] | None:
    """The next request, None at the end. Raises ValueError."""
    head = _read(descriptor, LENGTH.size)
    if not head:
        return None
    (length,) = LENGTH.unpack(head)
    if length > MOST_REQUEST:
        raise ValueError("too long")
    request = json.loads(_read(descriptor, length))
    if not isinstance(request, dict):
        raise ValueError("no object")
    return request


def _read(descriptor: int, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := os.read(descriptor, length - len(data))):
        data += more
    return data


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
