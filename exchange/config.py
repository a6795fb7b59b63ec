"""The exchange's own settings, read from the environment with safe defaults.

A wrong value stops the start with a sentence that names the variable; docs/settings.md lists them all.
"""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dj_database_url


class Misconfigured(SystemExit):
    """A setting that cannot be used. Its text names the variable and says what would do."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the exchange reads from its environment; times are in seconds."""

    var: Path  # state: database, keys, log tiles, documents
    origin: str  # the log's origin line and the `iss` of receipts
    name: str  # this exchange's name in orders
    region: str  # its region by GB/T 2260, which registration codes begin with
    key_passphrase: bytes | None  # opens the private keys in var/keys
    order_seconds: int  # how long a node may take up an order
    sequence_seconds: float  # how often the worker integrates the log
    document_bytes: int  # the largest document
    url: str  # where people reach it, without a slash at the end: what links in mail begin with
    listen: tuple[str, int]  # where `manage.py serve` listens: host, port
    web_workers: int  # processes of the web server
    web_threads: int  # threads in each; a query holds one until its node answers


def text(name: str, default: str) -> str:
    return os.environ.get(name, default).strip()


def flag(name: str, default: bool = False) -> bool:
    value = text(name, "yes" if default else "no").lower()
    if value in ("1", "yes", "true", "on"):
        return True
    if value in ("", "0", "no", "false", "off"):
        return False
    raise Misconfigured(f"{name}={value!r}: say yes or no")


def number(name: str, default: float, least: float, most: float) -> float:
    value = text(name, str(default))
    try:
        found = float(value)
    except ValueError:
        raise Misconfigured(f"{name}={value!r}: a number from {least} to {most}") from None
    if not least <= found <= most:
        raise Misconfigured(f"{name}={value}: a number from {least} to {most}")
    return found


def region(name: str) -> str:
    value = text(name, "000000")
    if not re.fullmatch(r"[0-9]{6}", value):
        raise Misconfigured(f"{name}={value!r}: six digits by GB/T 2260, such as 370200")
    return value


def address(name: str, default: str) -> tuple[str, int]:
    value = text(name, default)
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise Misconfigured(f"{name}={value!r}: host:port, such as {default}")
    return host.strip("[]"), int(port)


def url(name: str, default: str) -> str:
    value = text(name, default)
    if not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", value):
        raise Misconfigured(f"{name}={value!r}: such as https://data.example.gov.cn")
    return value.rstrip("/")


def var_folder(base: Path) -> Path:
    folder = Path(text("SLUICE_VAR", str(base / "var"))).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"SLUICE_VAR={folder}: cannot be made ({error.strerror})") from None
    return folder


def secret_key(var: Path, debug: bool) -> str:
    """SLUICE_SECRET_KEY, or one made once and kept in var/keys, readable by its owner only."""
    given = text("SLUICE_SECRET_KEY", "")
    if given:
        if len(given) < 32 and not debug:
            raise Misconfigured("SLUICE_SECRET_KEY: at least 32 characters, or leave it unset and one is made")
        return given
    path = var / "keys" / "django.secret"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return path.read_text()


def database(var: Path) -> dict[str, Any]:
    """SQLite in var by default, PostgreSQL by DATABASE_URL; durable either way (docs/settings.md)."""
    url = text("DATABASE_URL", "")
    if not url:
        return sqlite(var / "sluice.sqlite3")
    if url.startswith("sqlite:"):
        return sqlite(Path(dj_database_url.parse(url)["NAME"]))
    if not url.startswith(("postgres:", "postgresql:")):
        raise Misconfigured("DATABASE_URL: postgres://user:password@host:port/name, or leave it unset for SQLite")
    found: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=600, conn_health_checks=True))
    options = found.setdefault("OPTIONS", {})
    # A commit is on disk before it is answered, whatever the server's default.
    options["options"] = (options.get("options", "") + " -c synchronous_commit=on").strip()
    return found


def sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "exchange.sqlite",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # A transaction that will write takes the lock at its start, so it never fails half way.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # recursive_triggers: without it INSERT OR REPLACE deletes a row past the append-only triggers.
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; "
                "PRAGMA recursive_triggers=ON;"
            ),
        },
    }


def load(var: Path) -> Config:
    return Config(
        var=var,
        origin=text("SLUICE_ORIGIN", "sluice.localhost/log"),
        name=text("SLUICE_NAME", "sluice"),
        region=region("SLUICE_REGION"),
        key_passphrase=text("SLUICE_KEY_PASSPHRASE", "").encode() or None,
        order_seconds=int(number("SLUICE_ORDER_SECONDS", 60, 5, 3600)),
        sequence_seconds=number("SLUICE_SEQUENCE_SECONDS", 0.5, 0.05, 60),
        document_bytes=int(number("SLUICE_DOCUMENT_MB", 20, 1, 1000) * 1_000_000),
        url=url("SLUICE_URL", "http://" + text("SLUICE_LISTEN", "127.0.0.1:8000")),
        listen=address("SLUICE_LISTEN", "127.0.0.1:8000"),
        web_workers=int(number("SLUICE_WEB_WORKERS", 2, 1, 64)),
        web_threads=int(number("SLUICE_WEB_THREADS", 16, 1, 256)),
    )
