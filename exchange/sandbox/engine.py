"""DuckDB inside the vault: snapshots in, releasable cells out.

It opens files under `snapshots` only and writes nothing. The confinement is the operating system's (node);
the settings here are a second fence, read back and checked. Its errors carry no text of the engine, since
engines put values of rows into theirs.
"""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from exchange.sandbox import disclosure, plan
from exchange.sandbox.frames import Cells
from exchange.sandbox.plan import Codes, Level, Plan
from exchange.sandbox.query import AggregateQuery, Join, Profile, joined
from exchange.sandbox.schema import Manifest, SchemaError, manifest_from_json
from exchange.sandbox.terms import Terms

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_LOCKS: dict[str, str | bool] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "temp_directory": "",
    "enable_external_access": False,  # DuckDB cannot turn it on again while it runs
    "lock_configuration": True,
}
_TUNING: dict[str, str | bool | int] = {
    "disabled_filesystems": "LocalFileSystem",  # a lock too, but DuckDB does not read it back
    "enable_progress_bar": False,
    "perfect_ht_threshold": 20,  # group keys are small codes: an array instead of a hash table
    "preserve_insertion_order": False,
}


At = tuple[str, str]
"""A resource and its snapshot."""

Key = tuple[str, ...]
"""What a table holds: a snapshot; or the main one and the one that is joined to it by the entity."""

# Who is not in the main one has the number 0, which is nobody's there: how large the table is does not tell how many.
RENUMBERED = """
SELECT coalesce(mine._entity, 0)::UINTEGER AS _entity, incoming.* EXCLUDE (_entity, _rank, _rows, _key)
FROM incoming LEFT JOIN theirs USING (_entity)
LEFT JOIN mine ON mine._match0 = theirs._match0 AND mine._match1 = theirs._match1
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies beside a snapshot: its private manifest, and the digests of its table and of its entities' words."""

    manifest: Manifest
    digest: str
    entities: str


class SnapshotUnreadable(Exception):
    """The snapshot's files are missing, damaged or not what its manifest says."""


class EngineFailed(Exception):
    """The engine could not run the query; why is not told."""


class Engine:
    """A locked DuckDB in memory with the snapshots used last as native tables, and, for each pair of snapshots that
    was joined by the entity, the second one under the first one's numbers.

    `memory_mb` bounds DuckDB; a third of it is kept for queries, and tables are dropped, least recently used
    first, when the rest is full. Not safe for several threads: a vault runs one query at a time. Raises
    EngineFailed where DuckDB does not take its lock-down.
    """

    def __init__(self, snapshots: Path, noise_secret: bytes, memory_mb: int, threads: int) -> None:
        self._snapshots, self._secret = snapshots, noise_secret
        self._room = memory_mb * 1_000_000 * 2 // 3
        self._tables: OrderedDict[Key, tuple[str, int]] = OrderedDict()
        self._manifests: dict[At, Kept] = {}
        self._loaded = 0
        self._duckdb = locked(memory_mb, threads)

    def manifest(self, resource: str, snapshot: str) -> Manifest:
        """The private manifest of a snapshot. Raises SnapshotUnreadable."""
        return self._kept((resource, snapshot)).manifest

    def joined(
        self, resource: str, snapshot: str, joins: Collection[Join], others: Mapping[str, At] | None = None
    ) -> Manifest:
        """The private manifest of a snapshot with what is joined; `others` are the snapshots by the joins' names.

        Raises SnapshotUnreadable, Problem join_not_allowed.
        """
        manifests = {name: self.manifest(*at) for name, at in (others or {}).items()}
        return joined(self.manifest(resource, snapshot), tuple(joins), manifests)

    def load(self, resource: str, snapshot: str, others: Mapping[str, At] | None = None) -> None:
        """Have the tables of a snapshot and of what is joined to it ready, so that a query's time holds no loading.

        Raises SnapshotUnreadable, EngineFailed.
        """
        main = (resource, snapshot)
        wanted = [main, *(self._key(main, at) for at in (others or {}).values())]
        for key in wanted:
            if key not in self._tables:
                self._load(key, wanted)
            self._tables.move_to_end(key)

    def run(
        self, query: AggregateQuery, resource: str, snapshot: str, terms: Terms,
        others: Mapping[str, At] | None = None,
    ) -> Cells:  # fmt: skip
        """The cells of `query` that `terms` let out. Raises SnapshotUnreadable, EngineFailed."""
        manifest = self.joined(resource, snapshot, query.joins, others)
        self.load(resource, snapshot, others)
        tables = {name: self._tables[self._key((resource, snapshot), at)][0] for name, at in (others or {}).items()}
        compiled = plan.compile(query, manifest, terms, self._tables[resource, snapshot][0], tables)
        found = [self._found(level.sql) if level.sql else {} for level in compiled.levels]
        match Profile(terms.profile):
            case Profile.OPEN:
                return disclosure.open_cells(found, compiled)
            case Profile.GUARDED:
                looked = [self._looked(*each, compiled, terms) for each in zip(found, compiled.levels, strict=True)]
                return disclosure.guarded_cells(looked, compiled, terms, self._secret)
            case Profile.PRIVATE:
                from exchange.sandbox.noise import discrete_gaussian  # takes a moment to load; only this needs it

                return disclosure.private_cells(found, self._counted(compiled), compiled, discrete_gaussian)

    def _counted(self, compiled: Plan) -> list[list[disclosure.Found]]:
        """For each quantile, the counts by bins of each level; quantiles of the same values share them."""
        counts = {text: self._found(text) for text in {text for level in compiled.levels for text in level.binned}}
        return [[counts[level.binned[i]] for level in compiled.levels] for i in range(len(compiled.quantiles))]

    def _looked(
        self, found: disclosure.Found, level: Level, compiled: Plan, terms: Terms
    ) -> tuple[dict[Codes, disclosure.Cell], dict[Codes, disclosure.Cell]]:
        """The cells of a level as the first look saw them, and exactly those that it does not settle."""
        seen = disclosure.cells_of(found, level)
        unclear = [codes for codes, cell in seen.items() if not disclosure.settled(cell, compiled.parts, terms)]
        if not unclear or level.again is None:
            return seen, {}
        again = self._found(level.again(None if len(unclear) == len(seen) else unclear))
        return seen, disclosure.cells_of(again, level)

    def _found(self, sql: str) -> disclosure.Found:
        try:
            found: disclosure.Found = self._duckdb.execute(sql).fetchnumpy()
        except (duckdb.Error, MemoryError):
            raise EngineFailed from None
        return found

    def _kept(self, at: At) -> "Kept":
        if at not in self._manifests:
            try:
                value = json.loads(self._file(at, "json").read_bytes())
                digests = str(value["sha256"]), str(value.get("entities_sha256", ""))
                self._manifests[at] = Kept(manifest_from_json(value), *digests)
            except (OSError, ValueError, KeyError, TypeError, SchemaError):
                raise SnapshotUnreadable from None
        return self._manifests[at]

    def _key(self, main: At, other: At) -> "Key":
        """The table of what is joined: of a snapshot about a population, the one with the main one's numbers."""
        return (*main, *other) if self._kept(other).manifest.population else other

    def _load(self, key: "Key", wanted: Collection["Key"]) -> None:
        """Load a table; none of those that are `wanted` with it makes room for it."""
        main, other = (key[0], key[1]), (key[-2], key[-1])
        try:
            with ExitStack() as files:
                source = self._open(files, other, "parquet", self._kept(other).digest)
                tables, sql, size = {"incoming": source}, "SELECT * FROM incoming", _size(source)
                if len(key) > 2:
                    mine, theirs = (
                        self._open(files, at, "entities.parquet", self._kept(at).entities) for at in (main, other)
                    )
                    if mine.schema_arrow.metadata != theirs.schema_arrow.metadata:  # words of two kinds match by chance
                        raise SnapshotUnreadable
                    tables |= {"mine": mine, "theirs": theirs}
                    sql = RENUMBERED
                self._make_room(size, wanted)
                self._loaded += 1
                name = f"snapshot_{self._loaded}"
                self._create(name, sql, tables)
        except (OSError, pa.ArrowException):
            raise SnapshotUnreadable from None
        self._tables[key] = (name, size)

    def _open(self, files: ExitStack, at: At, suffix: str, digest: str) -> pq.ParquetFile:
        """A file of a snapshot, checked. Raises SnapshotUnreadable, OSError, ArrowException."""
        file = files.enter_context(self._file(at, suffix).open("rb"))
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise SnapshotUnreadable
        return pq.ParquetFile(file)

    def _create(self, name: str, sql: str, tables: Mapping[str, pq.ParquetFile]) -> None:
        try:
            for incoming, file in tables.items():
                batches = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())
                self._duckdb.register(incoming, batches)
            self._duckdb.execute(f"CREATE TABLE {name} AS {sql}")
        except (duckdb.Error, MemoryError):
            raise EngineFailed from None
        finally:
            for incoming in tables:
                self._duckdb.unregister(incoming)

    def _make_room(self, size: int, wanted: Collection["Key"]) -> None:
        for key in [key for key in self._tables if key not in wanted]:
            if size + sum(size for _, size in self._tables.values()) <= self._room:
                return
            self._duckdb.execute(f"DROP TABLE {self._tables.pop(key)[0]}")

    def _file(self, at: At, suffix: str) -> Path:
        resource, snapshot = at
        if not (_NAME.fullmatch(resource) and _NAME.fullmatch(snapshot)):
            raise SnapshotUnreadable
        return self._snapshots / resource / f"{snapshot}.{suffix}"


def locked(memory_mb: int, threads: int, spill: str = "") -> duckdb.DuckDBPyConnection:
    """A connection that opens nothing, loads nothing and lets no setting be changed any more.

    With the folder `spill`, which intake has and a vault has not, it keeps there what exceeds its memory. Raises
    EngineFailed.
    """
    tuning = _TUNING | {"threads": threads, "memory_limit": f"{memory_mb}MB"}
    locks = _LOCKS | {"temp_directory": spill}
    if spill:
        del tuning["disabled_filesystems"]
    try:
        connection = duckdb.connect(":memory:")
        for name, value in (tuning | locks).items():
            literal = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
            connection.execute(f"SET {name} = {literal}")
        for name, value in (locks | {"threads": threads}).items():
            row = connection.execute(f"SELECT current_setting('{name}')").fetchall()
            if row != [(value,)]:
                raise EngineFailed(f"DuckDB does not take {name}")
    except duckdb.Error as error:
        raise EngineFailed("DuckDB does not take its settings") from error
    return connection


def _size(source: pq.ParquetFile) -> int:
    """Bytes of the table in memory, before DuckDB's own compression. Only integers are let in."""
    types = source.schema_arrow.types
    if not all(pa.types.is_integer(kind) for kind in types):
        raise SnapshotUnreadable
    return int(source.metadata.num_rows * sum(kind.bit_width // 8 for kind in types))
