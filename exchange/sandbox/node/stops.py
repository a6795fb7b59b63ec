"""The holder's switch: what is stopped answers no query, from the next moment on, until it is resumed.

A query that runs already is not released any more. A mark is a file beside the public manifests, where the gate looks
at every order, and again before it signs an answer; nothing needs a restart, and a crash forgets nothing.
"""

import os
from pathlib import Path

from exchange.sandbox.node.home import NAME, BadConfiguration, Home

EVERYTHING = ""


def stop(home: Home, resource: str = EVERYTHING) -> None:
    """Stop a resource, or all of them. Raises BadConfiguration."""
    mark = _mark(home.manifests, _checked(resource))
    if not home.manifests.is_dir():
        raise BadConfiguration(f"{home.root} is no node's home")
    with mark.open("w") as file:
        os.fsync(file.fileno())


def resume(home: Home, resource: str = EVERYTHING) -> None:
    """Take a stop back; that of everything and that of a resource are two. Raises BadConfiguration."""
    _mark(home.manifests, _checked(resource)).unlink(missing_ok=True)


def stopped(manifests: Path, resource: str) -> bool:
    return _mark(manifests, EVERYTHING).exists() or _mark(manifests, resource).exists()


def _mark(manifests: Path, resource: str) -> Path:
    return manifests / (f".stopped-{resource}" if resource else ".stopped")


def _checked(resource: str) -> str:
    if resource and not NAME.fullmatch(resource):
        raise BadConfiguration(f"{resource!r} is no name for a resource")
    return resource
