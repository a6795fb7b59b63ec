"""The process that can see rows: it cannot speak, but for frames of integers on one pipe.

Started by the launcher with that pipe only. It locks itself in, then imports the engine, then answers one
request at a time. No text leaves it: once it is in service even its stderr is closed.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.sandbox.node import pipes
from exchange.sandbox.node.confine import CannotConfine, Confinement, confine, die_with, limit_files, limit_memory
from exchange.sandbox.node.home import Home

if TYPE_CHECKING:
    from exchange.sandbox.engine import Engine

BESIDES = 384  # megabytes for the interpreter's and the libraries' own use
PER_THREAD = 16  # a stack, and the small change of an allocator


def main(home: Home, pipe: int, parent: int, memory_mb: int, threads: int) -> int:
    """Answer requests until the pipe ends; the exit code."""
    die_with(parent)
    secret = home.noise_secret.read_bytes()
    nowhere = os.open(os.devnull, os.O_RDWR)
    with Path("/proc/self/statm").open("rb", buffering=0) as statm:
        try:
            confine(Confinement("vault", reads=(home.snapshots,)))
        except CannotConfine as error:
            print(f"sluice vault: {error}", file=sys.stderr)
            return os.EX_CONFIG
        from exchange.sandbox.engine import Engine

        engine = Engine(home.snapshots, secret, memory_mb, threads)
        limit_memory(statm, memory_mb + BESIDES + PER_THREAD * threads)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    limit_files(0)
    serve(pipe, engine)
    return 0


def serve(pipe: int, engine: "Engine") -> None:
    """Answer requests until the pipe ends. What nobody foresaw ends the process, which answers as well."""
    while (request := pipes.read_request(pipe)) is not None:
        sys.audit("sluice.vault.received", request["order"])
        for frame in answer(request, engine):
            pipes.write_all(pipe, frame)
        sys.audit("sluice.vault.answered", request["order"])


def answer(request: dict[str, Any], engine: "Engine") -> Iterator[bytes]:
    """Two frames: the snapshot is loaded, and from then on the time counts; then the cells.

    A frame that says which of two things went wrong is the last, and says nothing more about it.
    """
    from exchange.errors import Problem
    from exchange.sandbox.engine import EngineFailed, SnapshotUnreadable
    from exchange.sandbox.frames import Status, encode
    from exchange.sandbox.query import Profile, from_json, joins_from_json
    from exchange.sandbox.terms import Terms

    number, resource, snapshot = int(request["number"]), str(request["resource"]), str(request["snapshot"])
    others = {str(name): (str(at[0]), str(at[1])) for name, at in request["joins"].items()}
    try:
        terms = Terms(**request["terms"])
        engine.load(resource, snapshot, others)
        if terms.profile == Profile.PRIVATE:
            import exchange.sandbox.noise  # noqa: F401 takes a fresh vault longer than many a deadline
        yield encode(number, Status.DONE)
        manifest = engine.joined(resource, snapshot, joins_from_json(request["query"]), others)
        query = from_json(request["query"], manifest.schema, terms)
        cells = engine.run(query, resource, snapshot, terms, others)
        sys.audit("sluice.vault.ran", request["order"])
        yield encode(number, Status.DONE, cells)
    except SnapshotUnreadable:
        yield encode(number, Status.SNAPSHOT_UNREADABLE)
    except (EngineFailed, Problem, MemoryError, TypeError, ValueError):
        yield encode(number, Status.ENGINE_FAILED)


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1])), *map(int, sys.argv[2:6])))
