"""System call numbers and what each kind of process may call: an allow-list, everything else fails.

Stdlib only, no I/O. Numbers are (x86_64, aarch64), from the kernel's asm/unistd_64.h and asm-generic/unistd.h;
None where the architecture has no such call. Only x86_64 is exercised by the tests here. Which calls are
needed was found with strace on Python, pyarrow, numpy, DuckDB and SQLite.
"""

from dataclasses import dataclass

NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "accept": (43, 202), "accept4": (288, 242), "access": (21, None), "bind": (49, 200), "brk": (12, 214),
    "clock_getres": (229, 114), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115),
    "clone": (56, 220), "clone3": (435, 435), "close": (3, 57), "dup2": (33, None), "dup3": (292, 24),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_pwait": (281, 22), "epoll_wait": (232, None), "eventfd2": (290, 19),
    "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fadvise64": (221, 223), "fallocate": (285, 47), "fchmod": (91, 52), "fchown": (93, 55), "fcntl": (72, 25),
    "fdatasync": (75, 83), "flock": (73, 32), "fstat": (5, 80), "fstatfs": (138, 44), "fsync": (74, 82),
    "ftruncate": (77, 46), "futex": (202, 98), "getcpu": (309, 168), "getcwd": (79, 17),
    "getdents64": (217, 61), "getegid": (108, 177), "geteuid": (107, 175), "getgid": (104, 176),
    "getpeername": (52, 205), "getpid": (39, 172), "getppid": (110, 173), "getrandom": (318, 278),
    "getrusage": (98, 165), "getsockname": (51, 204), "getsockopt": (55, 209), "gettid": (186, 178),
    "gettimeofday": (96, 169), "getuid": (102, 174), "ioctl": (16, 29), "kill": (62, 129), "link": (86, None),
    "linkat": (265, 37), "listen": (50, 201), "lseek": (8, 62), "lstat": (6, None), "madvise": (28, 233),
    "membarrier": (324, 283), "mkdir": (83, None), "mkdirat": (258, 34), "mmap": (9, 222),
    "mprotect": (10, 226), "mremap": (25, 216), "munmap": (11, 215), "nanosleep": (35, 101),
    "newfstatat": (262, 79), "open": (2, None), "openat": (257, 56), "pipe2": (293, 59), "poll": (7, None),
    "ppoll": (271, 73), "prctl": (157, 167), "pread64": (17, 67), "preadv": (295, 69), "preadv2": (327, 286),
    "prlimit64": (302, 261), "pselect6": (270, 72), "pwrite64": (18, 68), "pwritev": (296, 70), "read": (0, 63),
    "readlink": (89, None), "readlinkat": (267, 78), "readv": (19, 65), "recvfrom": (45, 207),
    "recvmsg": (47, 212), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "restart_syscall": (219, 128), "rmdir": (84, None), "rseq": (334, 293), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "sched_yield": (24, 124),
    "select": (23, None), "sendmsg": (46, 211), "sendto": (44, 206), "set_robust_list": (273, 99),
    "set_tid_address": (218, 96), "setsockopt": (54, 208), "shutdown": (48, 210), "sigaltstack": (131, 132),
    "socket": (41, 198), "stat": (4, None), "statfs": (137, 43), "statx": (332, 291), "sysinfo": (99, 179),
    "tgkill": (234, 131), "time": (201, None), "times": (100, 153), "uname": (63, 160), "unlink": (87, None),
    "unlinkat": (263, 35), "write": (1, 64), "writev": (20, 66),
}  # fmt: skip

CLONE_THREAD = 0x10000 | 0x100  # CLONE_THREAD | CLONE_VM: a thread of this process
CLONE_OTHER = 0x2000 | 0x20000 | 0x7E000000  # CLONE_PTRACE and every new namespace
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIO(N)CLEX
FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)  # descriptors, flags and locks; no F_SETOWN, no signals
PRCTLS = (15, 0x53564D41)  # PR_SET_NAME, PR_SET_VMA
MSG_FASTOPEN = 0x20000000  # would connect behind connect's back
AF_INET, AF_INET6, SOCK_STREAM = 2, 10, 1


@dataclass(frozen=True, slots=True)
class Argument:
    """A call is allowed only where `argument & mask` (its low 32 bits) is one of `values`."""

    index: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


Rules = dict[str, tuple[Argument, ...]]

_BASE = """
    read pread64 readv preadv preadv2 write writev close lseek open openat access faccessat faccessat2
    fstat newfstatat statx stat lstat readlink readlinkat getdents64 getcwd statfs fstatfs fadvise64
    mmap munmap mremap mprotect madvise brk membarrier futex set_robust_list set_tid_address rseq
    dup2 dup3 exit exit_group restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
    getpid getppid gettid getuid geteuid getgid getegid getrusage times sysinfo uname getcpu getrandom
    sched_yield sched_getaffinity sched_getparam sched_getscheduler
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time
    poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2
"""
_WRITING = "pwrite64 pwritev fsync fdatasync ftruncate fallocate flock fchmod"
_NAMES = "unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat"
_SERVING = "bind listen accept accept4 getsockname getpeername setsockopt getsockopt shutdown recvmsg recvfrom"


def base(pid: int) -> Rules:
    """What every kind needs: its own memory, threads, time, and files that Landlock lets it open."""
    return _plain(_BASE) | {
        "clone": (Argument(0, (CLONE_THREAD,), CLONE_THREAD | CLONE_OTHER),),
        "ioctl": (Argument(1, IOCTLS),),
        "fcntl": (Argument(1, FCNTLS),),
        "prctl": (Argument(0, PRCTLS),),
        "prlimit64": (Argument(0, (0,)),),  # its own limits
        "tgkill": (Argument(0, (pid,)),),  # raise() and abort()
        "kill": (Argument(0, (pid,)),),  # itself only
    }


def vault(pid: int) -> Rules:
    """Reads files and its one pipe. No socket of any kind, no writing call but write itself."""
    return base(pid)


def intake(pid: int) -> Rules:
    return base(pid) | _plain(_WRITING) | _plain(_NAMES)


def gate(pid: int) -> Rules:
    """TCP that is bound and accepted, never connected; SQLite's files."""
    return base(pid) | _plain(_SERVING) | _plain(_WRITING) | {
        "unlink": (), "unlinkat": (), "fchown": (),
        "socket": (Argument(0, (AF_INET, AF_INET6)), Argument(1, (SOCK_STREAM,), 0xF)),
        "sendmsg": (Argument(2, (0,), MSG_FASTOPEN),),
        "sendto": (Argument(3, (0,), MSG_FASTOPEN),),
    }  # fmt: skip


def _plain(names: str) -> Rules:
    return dict.fromkeys(names.split(), ())
