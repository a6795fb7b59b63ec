"""The public manifests of the node's snapshots, as intake published them."""

import json
from pathlib import Path

from exchange.errors import Problem
from exchange.sandbox.node import stops
from exchange.sandbox.node.home import NAME
from exchange.sandbox.schema import Manifest, SchemaError, manifest_from_json


class Manifests:
    """`folder/<resource>/<snapshot>.json`, and `current`, which names the snapshot in service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], Manifest] = {}

    def current(self, resource: str) -> Manifest:
        """The manifest in service. Raises Problem snapshot_missing."""
        try:
            snapshot = (self._path(resource) / "current").read_text().strip()
            return self.get(resource, snapshot)
        except (OSError, Problem):
            raise Problem("snapshot_missing") from None

    def get(self, resource: str, snapshot: str) -> Manifest:
        """A snapshot's manifest; it never changes. Raises Problem snapshot_gone."""
        found = self._known.get((resource, snapshot))
        return found or self._read(resource, snapshot)

    def stopped(self, resource: str) -> bool:
        """Whether the holder has stopped it."""
        return stops.stopped(self._folder, resource)

    def _read(self, resource: str, snapshot: str) -> Manifest:
        try:
            if not NAME.fullmatch(snapshot):
                raise ValueError(snapshot)
            data = (self._path(resource) / f"{snapshot}.json").read_bytes()
            manifest = manifest_from_json(json.loads(data))
        except (OSError, ValueError, SchemaError):
            raise Problem("snapshot_gone") from None
        self._known[resource, snapshot] = manifest
        return manifest

    def _path(self, resource: str) -> Path:
        if not NAME.fullmatch(resource):
            raise Problem("snapshot_missing")
        return self._folder / resource
