"""How a process of the node locks itself in, before it imports any library. Stdlib and ctypes only.

Landlock confines only the calling thread, and numpy, pyarrow and grpc start threads: hence before. The parts
are `landlock` (files and ports), `seccomp` with `syscalls` (what may be called at all) and the limits here.
"""

import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from exchange.sandbox.node import landlock, linux, seccomp, syscalls

UNCONFINED = "SLUICE_NODE_RUN_UNCONFINED_DANGEROUSLY"
MEGABYTE = 1 << 20
RESERVED_MB = 2048  # address space that threads' allocators may reserve

SYSTEM = """
    /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /usr/share/zoneinfo /usr/share/locale /etc/ld.so.cache
    /etc/localtime /etc/nsswitch.conf /etc/ssl/openssl.cnf /usr/lib/ssl/openssl.cnf
    /dev/null /dev/zero /dev/urandom /proc/self/cgroup /proc/meminfo /proc/cpuinfo
    /proc/stat /proc/sys/vm/overcommit_memory /proc/sys/net/core/somaxconn
    /sys/devices/system/cpu /sys/fs/cgroup /sys/kernel/mm/transparent_hugepage
"""
RULES: dict[str, Callable[[int], syscalls.Rules]] = {
    "vault": syscalls.vault, "gate": syscalls.gate, "intake": syscalls.intake,
}  # fmt: skip


class CannotConfine(Exception):
    """This machine cannot lock a process in; the text says what it lacks."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a process of `kind` may reach: files, one port to bind, megabytes, descriptors."""

    kind: str
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    port: int | None = None
    memory_mb: int = 0  # address space; 0 is no limit
    files: int = 256


def lacking() -> str:
    """What this machine lacks for confinement, as a sentence; empty where it lacks nothing."""
    if sys.platform != "linux":
        return "Confinement needs Linux."
    try:
        linux.machine()
    except OSError as error:
        return f"Confinement is not possible here: {error}."
    if landlock.abi() < landlock.LEAST_ABI:
        return "The kernel has no Landlock (ABI 2, Linux 5.19), or it is switched off (lsm= must name landlock)."
    return ""


def allowed_unconfined() -> bool:
    return os.environ.get(UNCONFINED) == "yes"


def require() -> None:
    """Raises CannotConfine where processes could not be locked in and nobody has said that this is meant."""
    if lacking() and not allowed_unconfined():
        raise CannotConfine(f"{lacking()} To run without any confinement, set {UNCONFINED}=yes.")


def libraries() -> tuple[Path, ...]:
    """What an interpreter reads besides its task: system libraries, its own, and this package.

    The folder that holds the package is left out, for it may hold the node's home too.
    """
    package = Path(__file__).resolve().parents[2]
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {Path(sysconfig.get_path(name)) for name in names} | {Path(sys.base_prefix) / "lib"}
    folders |= {Path(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part}
    folders.discard(package.parent)
    config = Path(sys.prefix) / "pyvenv.cfg"
    return (package, config, *sorted(folders), *(Path(name) for name in SYSTEM.split()))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; exit now where it has ended already."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def confine(confinement: Confinement) -> None:
    """Lock this process in for good. Raises CannotConfine.

    Everything open stays open; what is opened, called or gained from here on is what `confinement` allows.
    """
    require()
    _limit(confinement)
    if lacking():
        print(f"sluice {confinement.kind}: UNCONFINED. {lacking()}", file=sys.stderr, flush=True)
        return
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise CannotConfine("A library has started a thread before confinement; Landlock would miss it.")
    try:
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        linux.drop_capabilities()
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict((*libraries(), *confinement.reads), confinement.writes, confinement.port)
        seccomp.install(RULES[confinement.kind](os.getpid()))
    except OSError as error:
        raise CannotConfine(f"The kernel refused to confine the {confinement.kind}: {error}.") from error


def limit_memory(statm: BinaryIO, megabytes: int) -> None:
    """From here on, `megabytes` of memory more than now and no further.

    `statm` is /proc/self/statm, opened before confinement. Address space has more room than memory: every
    thread's allocator reserves some that it never touches, and Arrow crashes where it cannot start a thread.
    """
    statm.seek(0)
    size, _, _, _, _, data, _ = (int(pages) * resource.getpagesize() for pages in statm.read().split())
    _lower(resource.RLIMIT_DATA, data + megabytes * MEGABYTE)
    _lower(resource.RLIMIT_AS, size + (megabytes + RESERVED_MB) * MEGABYTE)


def limit_files(size: int) -> None:
    """From here on, no file grows beyond `size` bytes."""
    _lower(resource.RLIMIT_FSIZE, size)


def _limit(confinement: Confinement) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, confinement.files)
    if confinement.memory_mb:
        _lower(resource.RLIMIT_AS, confinement.memory_mb * MEGABYTE)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))
