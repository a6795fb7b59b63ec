"""The process that can speak: it owns the Flight port, the signing key and the journal, and sees no row.

Started by the launcher with its control socket only. It locks itself in, then imports its libraries. Vaults
reach it as sockets over the control socket; to have one killed it asks there too.
"""

import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.sandbox.node import confine, pipes
from exchange.sandbox.node.home import BadConfiguration, Home, Settings, load

if TYPE_CHECKING:
    from exchange.sandbox.node.execution import Execution
    from exchange.sandbox.node.pool import Pool

MEMORY_MB = 8192  # of address space: gRPC's threads and Arrow's arenas take little of it for real
FILES = 1024


def main(home: Home, control: int, parent: int, port: int) -> int:
    """Serve on `port` (0: any) until the control socket ends; the exit code."""
    confine.die_with(parent)
    try:
        settings = load(home)
        confine.confine(_confinement(home, settings, port))
        serve(home, settings, socket.socket(fileno=control), port)
    except (confine.CannotConfine, BadConfiguration) as error:
        print(f"sluice gate: {error}", file=sys.stderr)
        return os.EX_CONFIG
    return 0


def serve(home: Home, settings: Settings, control: socket.socket, port: int) -> None:
    """Raises BadConfiguration where the policy, the key, the journal or the address is no good."""
    from exchange.sandbox.node import flight
    from exchange.sandbox.node.pool import Pool

    guard = threading.Lock()

    def kill(slot: int, life: int) -> None:
        with guard:
            pipes.say(control, {"kill": slot, "life": life})

    pool = Pool(kill)
    key, orders = execution(home, settings, pool)
    server = flight.Server(home, settings, port, orders)
    with guard:
        pipes.say(control, {"port": server.port, "public_jwk": key})
    take_vaults(control, pool)


def execution(home: Home, settings: Settings, pool: "Pool") -> "tuple[dict[str, str], Execution]":
    """The node's public key, and everything an order needs. Raises BadConfiguration."""
    import sqlite3

    from exchange.crypto import keys
    from exchange.sandbox.node import policy
    from exchange.sandbox.node.execution import Execution
    from exchange.sandbox.node.journal import Journal
    from exchange.sandbox.node.manifests import Manifests

    try:
        law = policy.parse(home.policy.read_bytes())
        key = keys.load_or_create(home.key)
        journal = Journal(home.journal_file)
    except (OSError, ValueError, TypeError, sqlite3.Error) as error:
        raise BadConfiguration(f"{home.root}: {error}") from error
    orders = Execution(settings, key, law, journal, Manifests(home.manifests), pool)
    return keys.to_jwk(key.public), orders


def take_vaults(control: socket.socket, pool: "Pool") -> None:
    """Put every vault the launcher sends into the pool, until the launcher is gone."""
    from exchange.sandbox.node.pool import Vault

    while True:
        message, descriptor = pipes.hear(control)
        if message is None:
            return
        if descriptor is not None:
            pool.add(Vault(socket.socket(fileno=descriptor), message["slot"], message["life"]))


def _confinement(home: Home, settings: Settings, port: int) -> confine.Confinement:
    tls = [home.root / name for name in (settings.tls_certificate, settings.tls_key) if name]
    return confine.Confinement(
        kind="gate",
        reads=(home.policy, home.key, home.manifests, *tls),
        writes=(home.journal,),
        port=port,
        memory_mb=MEMORY_MB,
        files=FILES,
    )


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1])), *map(int, sys.argv[2:5])))
