"""The log recomputed from its records, by the reader's code and not the writer's.

It changes nothing and may run in service: it looks at what the newest checkpoint covered when it began.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Max, Min

from exchange.audit import append_only, keys, sequencer, tiles
from exchange.audit.models import Checkpoint, Leaf, Record, TileHash
from exchange.audit.notes import size_of, vkey
from exchange.audit.verify.entry import read_entry
from exchange.audit.verify.note import LogKey, open_checkpoint, read_vkey
from exchange.audit.verify.text import Failed, need, unbase64
from exchange.audit.verify.tree import Tree, leaf_hash


class Finding(NamedTuple):
    ok: bool
    text: str


def check() -> Iterator[Finding]:
    """Every check of the log; `ok` is false where something does not agree."""
    newest = Checkpoint.objects.order_by("-size").first()
    size = newest.size if newest else 0
    yield from _summary("append-only tables", append_only.missing(), len(append_only.models()))
    yield from _summary("leaves and checkpoints", *_listed(_leaves(size)))
    yield from _summary("tile hashes", *_listed(_tile_hashes(size)))
    yield from _summary("records in the log or in its queue", *_listed(_places()))
    yield from _summary("numbering within licences", *_listed(_numbering()))
    yield from _summary("published files", *_listed(_published(sequencer.log_folder())))


def _summary(name: str, wrong: list[str], right: int) -> Iterator[Finding]:
    for text in wrong:
        yield Finding(False, f"{name}: {text}")
    if not wrong:
        yield Finding(True, f"{name}: {right} agree")


def _listed(found: Iterator[str | None]) -> tuple[list[str], int]:
    """What is wrong, and how many were looked at; None stands for one that agrees."""
    wrong, right = [], 0
    for text in found:
        if text is None:
            right += 1
        else:
            wrong.append(text)
    return wrong, right


def _leaves(size: int) -> Iterator[str | None]:
    """Every leaf from its record, and every checkpoint from the leaves before it."""
    fields = ("index", "hash", "record__entry", "record__content__body", "record__content__salt")
    columns = ("record__kind", "record__time", "record__licence", "record__seq")
    leaves = Leaf.objects.filter(index__lt=size).order_by("index").values_list(*fields, *columns)
    tree, trusted = Tree(), _log_keys()
    checkpoints = Checkpoint.objects.filter(size__lte=size).order_by("size").iterator()
    due = next(checkpoints, None)
    for index, value, entry, body, salt, *stated in leaves.iterator(2000):
        while due is not None and due.size == tree.size:
            yield _checkpoint(due, tree, trusted)
            due = next(checkpoints, None)
        if index != tree.size:
            yield f"leaf {tree.size} is missing, the next is {index}"
            return
        yield _leaf(index, bytes(value), entry.encode(), body, salt, stated)
        tree.add(leaf_hash(entry.encode()))
    while due is not None:
        yield _checkpoint(due, tree, trusted)
        due = next(checkpoints, None)


def _leaf(index: int, value: bytes, data: bytes, body: str | None, salt: Any, stated: list[Any]) -> str | None:
    try:
        need(leaf_hash(data) == value, "its hash is not that of its entry")
        entry = read_entry(data)
        kind, time, licence, seq = stated
        written = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        columns = {"kind": kind, "time": written, "licence": licence, "seq": seq}
        need(columns.items() <= entry.items(), "its entry says something else than its record")
        need(body is not None, "the body of its record is gone")
        found = hashlib.sha256(bytes(salt) + str(body).encode()).digest()
        need(found == unbase64(entry["commitment"], "the commitment"), "its entry commits to another body")
    except Failed as failure:
        return f"leaf {index}: {failure}"
    return None


def _log_keys() -> list[LogKey]:
    return [read_vkey(vkey(settings.SLUICE.origin, key)) for key in keys.public("log").values()]


def _checkpoint(row: Checkpoint, tree: Tree, trusted: list[LogKey]) -> str | None:
    """A checkpoint against the tree of the leaves before it; any key that was the log's may have signed."""
    why = "there is no key of the log"
    for key in trusted:
        try:
            found = open_checkpoint(row.note, key)
        except Failed as failure:
            why = str(failure)
            continue
        if (found.size, found.root) == (row.size, bytes(row.root)) == (tree.size, tree.root()):
            return None
        return f"checkpoint {row.size} does not follow from its leaves"
    return f"checkpoint {row.size}: {why}"


def _tile_hashes(size: int) -> Iterator[str | None]:
    """Every hash of a full tile from the 256 below it."""
    level = 1
    while size := size // 256:
        stored = TileHash.objects.filter(level=level, place__lt=size).order_by("place")
        found = {place: bytes(value) for place, value in stored.values_list("place", "hash")}
        for place in range(size):
            tree = Tree()
            try:
                for value in sequencer.hashes(level - 1, place * 256, 256):
                    tree.add(value)
            except LookupError as error:
                yield str(error)
                continue
            agrees = found.get(place) == tree.root()
            yield None if agrees else f"{level}/{place} is not the hash of its tile"
        level += 1


def _places() -> Iterator[str | None]:
    """A record has a leaf, or waits for one, never neither or both."""
    yield from (f"{record.id} has no leaf" for record in Record.objects.filter(leaf=None, waiting=None))
    both = Record.objects.filter(leaf__isnull=False, waiting__isnull=False)
    yield from (f"{record.id} waits and has a leaf" for record in both)
    last = Leaf.objects.aggregate(last=Max("index"))["last"]
    covered = Checkpoint.objects.aggregate(size=Max("size"))["size"] or 0
    if last is not None and last >= covered:
        yield f"no checkpoint covers leaf {last}"
    yield from (None for _ in range(Record.objects.count()))


def _numbering() -> Iterator[str | None]:
    numbered = Record.objects.exclude(licence=None).values("licence").order_by("licence")
    for row in numbered.annotate(
        records=Count("id"), numbers=Count("seq", distinct=True), first=Min("seq"), last=Max("seq")
    ):
        whole = row["first"] == 1 and row["records"] == row["numbers"] == row["last"]
        yield (None if whole else f"licence {row['licence']} has {row['records']} records up to number {row['last']}")


def _published(folder: Path) -> Iterator[str | None]:
    """Every published file is what the database says, and every tile of the published checkpoint is there."""
    path = folder / "checkpoint"
    if not path.exists():
        if Checkpoint.objects.exists() or (folder / "tile").exists():
            yield f"{path} is missing"
        return
    note = path.read_text()
    try:
        size = size_of(note)
    except ValueError as error:
        yield f"{path}: {error}"
        return
    known = Checkpoint.objects.filter(size=size, note=note).exists()
    yield None if known else f"{path} is not a checkpoint of this database"
    for tile in tiles.grown(0, size):
        for kind in _kinds(tile):
            if not (folder / tile.path(kind)).exists():
                yield f"{tile.path(kind)} is missing"
    for file in sorted((folder / "tile").rglob("*")):
        if file.is_file() and not file.name.endswith(".draft"):
            yield _file(folder, file)


def _kinds(tile: tiles.Tile) -> tuple[str | None, ...]:
    return (None, tiles.ENTRIES) if tile.level == 0 else (None,)


def _file(folder: Path, file: Path) -> str | None:
    name = file.relative_to(folder).as_posix()
    found = tiles.parse(name)
    if found is None:
        return f"{name} is no tile"
    tile, of_entries = found
    try:
        wanted = sequencer.entry_tile(tile) if of_entries else sequencer.hash_tile(tile)
        return None if file.read_bytes() == wanted else f"{name} has other bytes than the database says"
    except LookupError:
        return f"{name} is beyond what the database holds"
    except FileNotFoundError:
        return None  # a partial tile that became full just now
