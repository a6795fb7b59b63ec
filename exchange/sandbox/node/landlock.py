"""Landlock: which files and ports this thread may still reach. Stdlib and ctypes only.

Source: linux/landlock.h, Documentation/userspace-api/landlock.rst. ABI 2 suffices; truncation (3), TCP (4),
device ioctls (5) and scopes for signals and abstract sockets (6) are used where the kernel has them. Only the
calling thread is confined, so this is called before any library starts one.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from exchange.sandbox.node import linux

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1
PATH_BENEATH, NET_PORT = 1, 2
BIND_TCP, CONNECT_TCP = 1, 2
LEAST_ABI = 2

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE, _MAKE = (1 << 4) | (1 << 5), (1 << 7) | (1 << 8)  # directories and regular files only
_REFER = 1 << 13
_READ = _READ_FILE | _READ_DIR
_OF_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


class _Port(ctypes.Structure):
    _fields_ = (("access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def abi() -> int:
    """The kernel's Landlock ABI, 0 where it has none or it is switched off."""
    try:
        return linux.call(CREATE_RULESET, 0, 0, VERSION)
    except OSError:
        return 0


def restrict(reads: Iterable[Path], writes: Iterable[Path], port: int | None) -> None:
    """Confine this thread to reading beneath `reads`, also writing beneath `writes`, and to binding `port`.

    Paths that do not exist grant nothing. Executing files is granted nowhere. Raises OSError.
    """
    version = abi()
    handled = _handled(version)
    attributes = _Ruleset(handled, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = linux.call(CREATE_RULESET, ctypes.addressof(attributes), size, 0)
    try:
        for path in reads:
            _grant(ruleset, path, _READ)
        for path in writes:
            _grant(ruleset, path, (_READ | _WRITE_FILE | _TRUNCATE | _REMOVE | _MAKE | _REFER) & handled)
        if port is not None and version >= 4:
            rule = _Port(BIND_TCP, port)
            linux.call(ADD_RULE, ruleset, NET_PORT, ctypes.addressof(rule), 0)
        linux.call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _handled(version: int) -> int:
    """Every right over files that this ABI knows: what is handled and not granted is denied."""
    return (1 << {2: 14, 3: 15, 4: 15}.get(version, 16)) - 1


def _grant(ruleset: int, path: Path, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = _Beneath(access if path.is_dir() else access & _OF_A_FILE, descriptor)
        linux.call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.addressof(rule), 0)
    finally:
        os.close(descriptor)
