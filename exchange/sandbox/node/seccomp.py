"""A seccomp allow-list as a BPF program. Stdlib and ctypes only.

Sources: linux/seccomp.h, linux/filter.h, linux/audit.h; Documentation/userspace-api/seccomp_filter.rst.
A call that is not allowed fails with EPERM; `clone3` fails with ENOSYS, so that glibc falls back to `clone`,
whose flags a filter can read. A foreign architecture and x32 are killed.
"""

import ctypes
import errno
import struct

from exchange.sandbox.node import linux
from exchange.sandbox.node.syscalls import NUMBERS, Argument, Rules

LOAD, AND, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data; low words first on little endian
X32_BIT = 0x40000000
SET_MODE_FILTER, TSYNC = 1, 1

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def program(rules: Rules, machine: linux.Machine) -> bytes:
    """The BPF program for `rules`: architecture first, then one block per call, then EPERM."""
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCH_AT), (JUMP_EQUAL, 1, 0, machine.audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER_AT),
    ]  # fmt: skip
    if machine.column == 0:
        code += [(JUMP_AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, KILL)]
    for name, arguments in rules.items():
        number = NUMBERS[name][machine.column]
        if number is not None:
            code += _block(number, arguments)
    clone3 = NUMBERS["clone3"][machine.column]
    code += [(JUMP_EQUAL, 0, 1, clone3 or 0), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    code.append((RETURN, 0, 0, ERRNO | errno.EPERM))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _block(number: int, arguments: tuple[Argument, ...]) -> list[Instruction]:
    """Allow `number` if every argument fits; a block returns, so the number stays loaded for the next one."""
    body: list[Instruction] = []
    for argument in arguments:
        body += [(LOAD, 0, 0, ARGUMENTS_AT + 8 * argument.index), (AND, 0, 0, argument.mask)]
        last = len(argument.values) - 1
        body += [(JUMP_EQUAL, last - i + 1, 0, value) for i, value in enumerate(argument.values)]
        body.append((RETURN, 0, 0, ERRNO | errno.EPERM))
    body.append((RETURN, 0, 0, ALLOW))
    return [(JUMP_EQUAL, 0, len(body), number), *body]


def install(rules: Rules) -> None:
    """Put every thread of this process under `rules`, for good. Raises OSError."""
    load(program(rules, linux.machine()))


def load(code: bytes) -> None:
    """Put every thread of this process under a BPF program. Raises OSError."""
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    linux.call(linux.machine().seccomp, SET_MODE_FILTER, TSYNC, ctypes.addressof(fprog))
