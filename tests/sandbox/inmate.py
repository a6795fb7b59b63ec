"""A program that locks itself in as a process of the node does, and then tries to get out.

`python -m tests.sandbox.inmate KIND FOLDER TARGET PORT`; KIND `free` is the control, which is not locked in.
TARGET is a process of the same user, PORT a TCP port with a listener. Prints {attempt: "did it" or errno name}.
"""

import ctypes
import errno
import json
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from exchange.sandbox.node import confine, linux
from exchange.sandbox.node.confine import Confinement

DID_IT = "did it"
X86_64 = {
    "io_uring_setup": 425, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321,
    "userfaultfd": 323, "mount": 165, "umount2": 166, "pivot_root": 155, "unshare": 272, "setns": 308,
    "keyctl": 250, "add_key": 248, "request_key": 249, "perf_event_open": 298, "open_by_handle_at": 304,
    "memfd_create": 319, "memfd_secret": 447, "finit_module": 313, "kexec_load": 246, "execve": 59,
    "execveat": 322, "personality": 135, "setuid": 105, "capset": 126, "pidfd_open": 434, "pidfd_getfd": 438,
    "shmget": 29, "msgget": 68, "mq_open": 240, "fanotify_init": 300, "quotactl": 179,
    "iopl": 172, "modify_ldt": 154, "vmsplice": 278, "name_to_handle_at": 303,
    "fsopen": 430, "move_mount": 429, "landlock_create_ruleset": 444, "kcmp": 312, "rt_sigqueueinfo": 129,
    "socketpair": 53,
}  # fmt: skip
NEW_NAMESPACES = 0x10000000 | 0x40000000 | 0x00020000  # user, network, mount
PR_SET_SECCOMP, PR_SET_DUMPABLE = 22, 4


def main(kind: str, folder: Path, target: int, port: int) -> None:
    confinement = Confinement(
        kind, reads=(folder / "mine",), writes=(folder / "written",) if kind in ("gate", "intake") else (),
        port=0 if kind == "gate" else None, memory_mb=2048,
    )  # fmt: skip
    print("ready", file=sys.stderr, flush=True)
    if kind != "free":
        confine.confine(confinement)
    found = {name: attempt(call) for name, call in attempts(folder, target, port).items()}
    print(json.dumps(found))


def attempt(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except MemoryError:
        return "MemoryError"
    return DID_IT


def attempts(folder: Path, target: int, port: int) -> dict[str, Callable[[], object]]:
    secret = folder / "secret"
    tried: dict[str, Callable[[], object]] = {
        "read its own file": lambda: (folder / "mine" / "file").read_text(),
        "read another file": secret.read_text,
        "read another file in a thread": lambda: in_thread(secret.read_text),
        "read /etc/passwd": lambda: Path("/etc/passwd").read_text(),
        "list a folder": lambda: list(folder.iterdir()),
        "write where it reads": lambda: (folder / "mine" / "new").write_text("x"),
        "write where it writes": lambda: (folder / "written" / "new").write_text("x"),
        "write elsewhere": lambda: (folder / "new").write_text("x"),
        "write into /tmp": lambda: Path("/tmp/sluice-inmate").write_text("x"),
        "truncate": lambda: os.truncate(secret, 0),
        "link out": lambda: (folder / "written" / "link").symlink_to(secret),
        "read another's memory": lambda: Path(f"/proc/{target}/mem").open("rb").close(),
        "read another's environment": lambda: Path(f"/proc/{target}/environ").read_bytes(),
        "list another's descriptors": lambda: list(Path(f"/proc/{target}/fd").iterdir()),
        "open another's descriptor": lambda: Path(f"/proc/{target}/fd/0").open("rb").close(),
        "read another's layout": lambda: Path(f"/proc/{target}/maps").read_text(),
        "look into another's root": lambda: Path(f"/proc/{target}/root/etc").stat(),
        "write own memory": lambda: Path("/proc/self/mem").open("wb").close(),
        "signal another": lambda: os.kill(target, 0),
        "start a program": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
        "fork": fork,
        "fork bomb": lambda: [fork() for _ in range(20)],
        "clone into namespaces": lambda: clone(NEW_NAMESPACES | signal.SIGCHLD),
        "clone3": lambda: linux.call(435, 0, 0),
        "tcp socket": lambda: socket.socket().close(),
        "tcp connect": lambda: socket.create_connection(("127.0.0.1", port), 5).close(),
        "tcp bind": lambda: socket.create_server(("127.0.0.1", port + 1)).close(),
        "fast open": lambda: fast_open(port),
        "udp socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        "type into the terminal": lambda: ioctl(0x5412),
        "become dumpable": lambda: linux.prctl(PR_SET_DUMPABLE, 1),
        "drop the filter": lambda: linux.prctl(PR_SET_SECCOMP, 0),
        "raise its limits": lambda: raise_memory_limit(),
        "4 GiB": lambda: bytearray(4 << 30),
    }
    if platform.machine() == "x86_64":
        tried |= {name: raw(number, target) for name, number in X86_64.items()}
    return tried


def raw(number: int, target: int) -> Callable[[], object]:
    """The bare system call with nothing in its arguments: it fails either way, but not in the same way."""
    first = 0x4206 if number == 101 else 0  # PTRACE_SEIZE
    return lambda: linux.call(number, first, target if number == 101 else 0, 0, 0, 0, 0)


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def clone(flags: int) -> None:
    pid = linux.call(56 if platform.machine() == "x86_64" else 220, flags, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def fast_open(port: int) -> None:
    """TCP fast open connects by sendto, behind a filter on connect."""
    with socket.socket() as sock:
        sock.sendto(b"x", 0x20000000, ("127.0.0.1", port))


def ioctl(request: int) -> None:
    import fcntl

    fcntl.ioctl(0, request, b"x")


def raise_memory_limit() -> None:
    import resource

    unlimited = resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited))
    except ValueError:  # what Python makes of EPERM here
        raise PermissionError(errno.EPERM, "setrlimit") from None


def in_thread(call: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    ctypes.set_errno(0)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
