"""Which user each process of the node runs as, and whose each folder is. Stdlib only.

Started by root, gate, vault and intake get a user each, where these users can reach interpreter, code and
home; else, as ever without root, all are the launcher's user, and Landlock and seccomp alone part them.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.sandbox.node.confine import UNCONFINED, libraries
from exchange.sandbox.node.home import Home

FIRST = 61_800  # in the range that systemd keeps for dynamic users

_CHECK = """
import os, ssl, sqlite3, sys, exchange.sandbox.node.confine
sys.exit(sys.version != sys.argv[1] or not all(os.access(path, os.R_OK | os.X_OK) for path in sys.argv[2:]))
"""


@dataclass(frozen=True, slots=True)
class Users:
    """User ids, the same as group ids; None stands for the launcher's own user."""

    gate: int | None = None
    vault: int | None = None
    intake: int | None = None

    def __str__(self) -> str:
        if self.gate is None:
            return f"all processes as user {os.getuid()}"
        return f"gate as user {self.gate}, vaults as {self.vault}, intake as {self.intake}"


def choose(home: Home) -> Users:
    """Separate users where that is possible."""
    if os.geteuid() != 0:
        return Users()
    free = [uid for uid in range(FIRST, FIRST + 100) if not _taken(uid)][:3]
    return Users(*free) if len(free) == 3 and _reaches(free[0], home) else Users()


def current(home: Home) -> Users:
    """The users of a home in service, by who owns what."""
    owners = (home.keys.stat().st_uid, home.noise_secret.stat().st_uid, home.row_secret.stat().st_uid)
    return Users() if os.geteuid() != 0 or 0 in owners else Users(*owners)


def own(home: Home, users: Users) -> None:
    """Give each folder to the process that writes it, or reads it alone; only root can."""
    if os.geteuid() != 0:
        return
    vaults = users.vault or 0
    _give(home.keys, users.gate or 0)
    _give(home.journal, users.gate or 0)
    _give(home.manifests, users.intake or 0)
    _give(home.snapshots, users.intake or 0, vaults)
    own_intake(home, users)
    home.snapshots.chmod(0o2750)  # the vaults' group reads; what is made in it is of that group
    home.secrets.chmod(0o711)
    shutil.chown(home.row_secret, users.intake or 0, 0)
    shutil.chown(home.noise_secret, vaults, 0)


def own_intake(home: Home, users: Users) -> None:
    """Give intake the folder that it alone opens; only root can."""
    if os.geteuid() == 0:
        _give(home.intake, users.intake or 0)


def as_user(uid: int | None) -> dict[str, Any]:
    """Arguments for subprocess."""
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}


def environment() -> dict[str, str]:
    """What a child gets of ours: nothing that could hold a secret."""
    code = str(Path(__file__).resolve().parents[3])
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ", UNCONFINED) if name in os.environ}
    paths = [code, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    few = {"MALLOC_ARENA_MAX": "2", "ARROW_IO_THREADS": "2"}  # threads reserve memory that is limited
    return kept | few | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONDONTWRITEBYTECODE": "1"}


def _give(folder: Path, user: int, group: int | None = None) -> None:
    """What an intake that runs takes away meanwhile is left out."""
    inside = (Path(at) / name for at, folders, files in os.walk(folder) for name in (*folders, *files))
    for path in (folder, *inside):
        with contextlib.suppress(FileNotFoundError):
            shutil.chown(path, user, user if group is None else group)


def _taken(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _reaches(uid: int, home: Home) -> bool:
    """Whether a user can run the interpreter with its libraries, and enter the home."""
    paths = [path for path in libraries() if path.is_dir() and not path.is_relative_to("/sys")]
    command = [sys.executable, "-P", "-c", _CHECK, sys.version, str(home.root), *map(str, paths)]
    try:
        done = subprocess.run(command, env=environment(), cwd="/", capture_output=True, **as_user(uid))
    except OSError:
        return False
    return done.returncode == 0
