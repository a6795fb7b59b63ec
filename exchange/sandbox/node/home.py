"""The node's home folder: where everything lies, what node.toml says, how a home is made. Stdlib only."""

import ipaddress
import json
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")  # of nodes, resources, snapshots, populations: safe in a path
DEFAULT_LISTEN = "127.0.0.1:8815"


class BadConfiguration(Exception):
    """node.toml or policy.toml cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one node. Who may open which is the launcher's and `confine`'s business."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.resolve())

    @property
    def settings(self) -> Path:
        return self.root / "node.toml"

    @property
    def policy(self) -> Path:
        return self.root / "policy.toml"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def key(self) -> Path:
        return self.keys / "node.pem"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def journal_file(self) -> Path:
        return self.journal / "journal.db"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def row_secret(self) -> Path:
        return self.secrets / "row.key"

    @property
    def noise_secret(self) -> Path:
        return self.secrets / "noise.key"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def intake(self) -> Path:
        """Intake's own: what it spools, and hashes of entities that vaults have no use for."""
        return self.root / "intake"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def endpoint(self) -> Path:
        return self.run / "endpoint.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """node.toml. `memory_mb` and `threads` are per vault; `rows_per_second` and `start_ms` are the declared
    capacity that deadlines are computed from; `seconds` is the longest an `open` query may run."""

    name: str
    listen: str = DEFAULT_LISTEN
    vaults: int = 2
    threads: int = 1
    memory_mb: int = 1024
    rows_per_second: int = 2_000_000
    start_ms: int = 100
    seconds: int = 60
    tls_certificate: str = ""
    tls_key: str = ""

    @property
    def query_bytes(self) -> int:
        """What a vault always has for a query: the rest of its memory may be full of snapshots (see engine.Engine)."""
        return self.memory_mb * 1_000_000 // 3

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """0 lets the gate choose once; it keeps its choice as long as the launcher runs."""
        return int(self.listen.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"grpc+{'tls' if self.tls_certificate else 'tcp'}://{self.listen}"


def load(home: Home) -> Settings:
    """The settings in node.toml. Raises BadConfiguration with the key that is wrong."""
    try:
        values = tomllib.loads(home.settings.read_text())
    except FileNotFoundError:
        raise BadConfiguration(
            f"{home.settings} does not exist; `python -m exchange.sandbox init {home.root} --name NAME` makes it."
        ) from None
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"{home.settings}: {error}") from error
    return settings_from(values, str(home.settings))


def settings_from(values: dict[str, Any], where: str = "node.toml") -> Settings:
    """Checked settings. Raises BadConfiguration."""
    for name, value in values.items():
        wanted = Settings.__annotations__.get(name)
        if wanted is None:
            raise BadConfiguration(f"{where}: unknown setting {name!r}")
        if type(value) is not wanted:
            raise BadConfiguration(f"{where}: {name} is {value!r}, where a {wanted.__name__} belongs")
        if wanted is int and value < 1:
            raise BadConfiguration(f"{where}: {name} is at least 1")
    if not NAME.fullmatch(values.get("name", "")):
        raise BadConfiguration(f"{where}: name is required: lower-case letters, digits, '.', '_' and '-'")
    settings = Settings(**values)
    _check_listen(settings, where)
    return settings


def _check_listen(settings: Settings, where: str) -> None:
    try:
        address = ipaddress.ip_address(settings.host)
        if not 0 <= settings.port <= 65535:
            raise ValueError("no such port")
    except ValueError as error:
        raise BadConfiguration(f"{where}: listen is {settings.listen!r}, not ADDRESS:PORT ({error})") from error
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise BadConfiguration(f"{where}: tls_certificate and tls_key go together")
    if not address.is_loopback and not settings.tls_certificate:
        raise BadConfiguration(f"{where}: off loopback the node needs tls_certificate and tls_key")


def create(home: Home, name: str, listen: str = DEFAULT_LISTEN, exchanges: Mapping[str, str] | None = None) -> None:
    """Make a home: folders, secrets, the node's key, node.toml and a sample policy.

    `exchanges` (name → `x` of its public JWK) may send orders; the policy offers nothing yet.

    Raises BadConfiguration where the name or address is no good, or a node.toml is there already.
    """
    settings_from({"name": name, "listen": listen}, "init")
    if home.settings.exists():
        raise BadConfiguration(f"{home.settings} exists; a home is made once")
    home.root.mkdir(parents=True, exist_ok=True)
    for folder in (home.keys, home.journal, home.secrets, home.snapshots, home.intake):
        folder.mkdir(mode=0o700, exist_ok=True)
    for folder in (home.manifests, home.run):
        folder.mkdir(mode=0o755, exist_ok=True)
    for path in (home.row_secret, home.noise_secret):
        if not path.exists():
            write_atomic(path, secrets.token_bytes(32), 0o600)
    from exchange.crypto import keys  # a library: the launcher, which imports this module, has no use for it

    keys.load_or_create(home.key)
    if not home.policy.exists():
        known = [f"[exchanges.{name}]\nx = {json.dumps(x)}\n" for name, x in (exchanges or {}).items()]
        write_atomic(home.policy, "\n".join([SAMPLE_POLICY, *known]).encode(), 0o644)
    text = f"name = {json.dumps(name)}\nlisten = {json.dumps(listen)}\n"
    write_atomic(home.settings, text.encode(), 0o644)


def write_atomic(path: Path, data: bytes, mode: int) -> None:
    """Write `data` to `path` in full or not at all, on disk before this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


SAMPLE_POLICY = """\
# The holder's law. The node reads it when it starts; send the launcher SIGHUP to have it read again.
# What is not named here is not offered.
#
# [populations.aircraft]        whom the data are about
# profile = "guarded"           the softest profile allowed: open, guarded, private
# entity = "tailnum"            the protected entity's column (none for open)
# threshold = 10                the fewest distinct entities in a cell
# queries = 1000                a hard number, all licences together
# least_batch = 10              the fewest entities that a file may add rows of
#
# [populations.patients]
# profile = "private"
# entity = "patient"
# rho = 1000000                 all that may ever be learned, in micro-rho; a new snapshot brings no more
# rho_per_day = 100000          the most of it within 24 hours
# delta = 9                     shown as epsilon at a delta of 10 to the -9
#
# [resources.flights]
# population = "aircraft"
# columns = ["carrier", "origin", "month", "dep_delay"]
# most_rows = 1000000           needed on private: how many rows a snapshot has at most
# joins = ["registry"]          what may be joined to it by the entity: its columns then cut these rows too
#
# [resources.registry]
# population = "aircraft"
# columns = ["maker", "year"]
# one_row = true                no entity has two rows; a file in which one has is not taken in
#
# Who may send orders, with the exchange's public Ed25519 key (the JWK's member x):
# [exchanges.sluice]
# x = "..."
"""
