"""The sequencer: gives every record its place in the log, signs the checkpoint, publishes the tiles.

It takes whatever is not yet integrated, never what lies above a watermark: a transaction that commits late
has an older id. One transaction integrates; publishing follows it and only copies what the database holds,
so it can be done again. One sequencer at a time: a file lock on this machine, the database's lock beyond it.
"""

import fcntl
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from exchange.audit import keys, notes, tiles
from exchange.audit.models import Checkpoint, Leaf, TileHash, Unsequenced
from exchange.audit.tiles import Tile
from exchange.crypto.keys import SigningKey
from exchange.crypto.merkle import Edge, leaf_hash
from exchange.statements import insert

_ADVISORY_LOCK = 0x534C5549  # any number that is ours alone in the database


class Forked(Exception):
    """What is published is not what the database says: an old backup, or another exchange's folder."""


def run_once() -> int:
    """Integrate and publish what is waiting; the number of records integrated.

    Raises Forked, before anything is signed, where the published log is not the beginning of this one.
    """
    folder = log_folder()
    with _alone(folder):
        published = _published(folder)
        count = integrate() if _is_due() else 0
        publish(folder, published)
    return count


def log_folder() -> Path:
    folder: Path = settings.SLUICE.var / "log"
    return folder


def integrate() -> int:
    """One transaction: leaves without a gap for everything unsequenced, tile hashes, one checkpoint."""
    key = keys.current("log")
    with transaction.atomic(durable=True):
        _lock()
        waiting = list(Unsequenced.objects.order_by("record_id").values_list("record_id", "record__entry"))
        newest = Checkpoint.objects.order_by("-size").first()
        edge = Edge(newest.size if newest else 0, hashes)
        leaves, full = [], []
        for record_id, entry in waiting:
            leaf = Leaf(index=edge.size, record_id=record_id, hash=leaf_hash(entry.encode()))
            leaves.append(leaf)
            full += edge.append(leaf.hash)
        insert(*leaves)
        insert(*(TileHash(level=level, place=place, hash=value) for level, place, value in full))
        if leaves or newest is None:
            insert(_checkpoint(edge, key))
        _dequeue([record_id for record_id, _ in waiting])
    sys.audit("sluice.sequencer.integrated", edge.size)
    return len(leaves)


def publish(folder: Path, published: int) -> None:
    """Bring the published log from the size it has to the newest checkpoint: tiles first."""
    newer = list(Checkpoint.objects.filter(size__gt=published).order_by("size").values_list("size", "note"))
    if not newer:
        return
    size, note = newer[-1]
    new = list(tiles.due(published, [size for size, _ in newer]))
    for tile in new:
        tiles.put(folder / tile.path(), hash_tile(tile))
        if tile.level == 0:
            tiles.put(folder / tile.path(tiles.ENTRIES), entry_tile(tile))
    sys.audit("sluice.sequencer.tiles", size)
    tiles.put(folder / "checkpoint", note.encode())
    sys.audit("sluice.sequencer.checkpoint", size)
    for tile in new:
        if tile.is_full:
            _drop_partials(folder, tile)


def hashes(level: int, first: int, count: int) -> Sequence[bytes]:
    """A run of the hashes of a level, from the database. Raises LookupError where one is missing."""
    if level == 0:
        found = Leaf.objects.filter(index__gte=first, index__lt=first + count).order_by("index")
    else:
        places = {"place__gte": first, "place__lt": first + count}
        found = TileHash.objects.filter(level=level, **places).order_by("place")
    run = [bytes(value) for value in found.values_list("hash", flat=True)]
    if len(run) != count:
        raise LookupError(f"level {level} has no {count} hashes from {first} on")
    return run


def hash_tile(tile: Tile) -> bytes:
    return b"".join(hashes(tile.level, tile.first, tile.width))


def entry_tile(tile: Tile) -> bytes:
    """The entries of a tile of level 0, each after its length in two bytes."""
    rows = Leaf.objects.filter(index__gte=tile.first, index__lt=tile.first + tile.width).order_by("index")
    entries = [entry.encode() for entry in rows.values_list("record__entry", flat=True)]
    if len(entries) != tile.width:
        raise LookupError(f"there are no {tile.width} entries from {tile.first} on")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def _checkpoint(edge: Edge, key: SigningKey) -> Checkpoint:
    root = edge.root()
    note = notes.checkpoint(settings.SLUICE.origin, edge.size, root, key)
    return Checkpoint(size=edge.size, root=root, note=note, time=timezone.now())


def _is_due() -> bool:
    return Unsequenced.objects.exists() or not Checkpoint.objects.exists()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock() -> None:
    """SQLite's transactions are IMMEDIATE (exchange.settings): this one is alone from its start."""
    connection = transaction.get_connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])


def _dequeue(record_ids: Sequence[object]) -> None:
    """By id, not all: more may have been committed since."""
    for start in range(0, len(record_ids), 500):
        Unsequenced.objects.filter(record_id__in=record_ids[start : start + 500])._raw_delete("default")


def _published(folder: Path) -> int:
    """The size of the published checkpoint, 0 where there is none. Raises Forked."""
    path = folder / "checkpoint"
    if not path.exists():
        return 0
    note = path.read_text()
    size = notes.size_of(note)
    if not Checkpoint.objects.filter(size=size, note=note).exists():
        raise Forked(
            f"{path} states a log of {size} records that this database does not know. Restore the newest"
            " backup of the database, or start a new log under another origin and folder."
        )
    return size


def _drop_partials(folder: Path, tile: Tile) -> None:
    """A full tile stands in for all its partial ones (tlog-tiles, "Partial Tiles")."""
    kinds = [None, tiles.ENTRIES] if tile.level == 0 else [None]
    for kind in kinds:
        shutil.rmtree(folder / f"{tile.path(kind)}.p", ignore_errors=True)
