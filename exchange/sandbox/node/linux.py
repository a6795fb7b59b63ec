"""The few kernel calls that Python does not offer. Stdlib and ctypes only; prctl(2), capset(2), syscall(2)."""

import contextlib
import ctypes
import os
import platform
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True)
class Machine:
    column: int  # in syscalls.NUMBERS
    audit: int  # AUDIT_ARCH_*
    seccomp: int  # number of seccomp(2)
    capset: int  # number of capset(2)


MACHINES = {"x86_64": Machine(0, 0xC000003E, 317, 126), "aarch64": Machine(1, 0xC00000B7, 277, 91)}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def machine() -> Machine:
    """This machine. Raises OSError for one whose system calls are not listed here."""
    try:
        return MACHINES[platform.machine()]
    except KeyError:
        raise OSError(f"no system call table for {platform.machine()}") from None


def call(number: int, *arguments: int) -> int:
    """syscall(2). Raises OSError."""
    result = _libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument) for argument in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def prctl(option: int, value: int = 0) -> None:
    """prctl(2). Raises OSError."""
    if _libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(part) for part in (value, 0, 0, 0))) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def drop_capabilities() -> None:
    """Give up every capability, and the chance to get one back through exec. Raises OSError."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last capability, or without CAP_SETPCAP, where there is nothing to lose
    with contextlib.suppress(OSError):  # before Linux 4.3 there were none
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    call(machine().capset, ctypes.addressof(header), ctypes.addressof(nothing))
