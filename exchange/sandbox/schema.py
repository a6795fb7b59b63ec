"""What a snapshot's columns are: declared by the holder, checked at intake, public to buyers.

Pure: no Django, no I/O. A `Schema` is what the holder declares; a `Manifest` is a schema with the figures
intake may publish about one snapshot of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any

from exchange.sandbox.derived import Rule, coarser, domain_of, ranges, rule_from_json, within
from exchange.sandbox.derived import Value as Value


class Kind(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"  # stored as an integer of 10**-scale units
    BOOLEAN = "boolean"
    DATE = "date"


class Role(StrEnum):
    DIMENSION = "dimension"  # grouped and filtered by; has a domain
    MEASURE = "measure"  # summed and averaged; has bounds low..high
    ENTITY = "entity"  # the protected unit; never shown, only counted


RESERVED = frozenset({"status", "level"})  # released or suppressed, and of a ROLLUP, see answer.table
LARGEST = 2**53 - 1  # integers that JSON carries exactly (RFC 8785): they stand in orders and manifests


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column.

    `domain` (dimensions): the public list of values, in display order, without null; empty means that intake
    collects it from the data, which only `open` resources may do. `low` and `high` (measures): bounds in the
    column's own units × 10**scale, both inclusive; what lies outside is clamped at intake. A row without a
    value in a `required` dimension is dropped at intake and counted, so null is no cell of its grid. A `derived`
    dimension is not stored but computed of a column before it; its domain, and whether it can be null, follow.
    """

    name: str
    kind: Kind
    role: Role
    domain: tuple[Value, ...] = ()
    low: int = 0
    high: int = 0
    scale: int = 0
    required: bool = False
    label_zh: str = ""
    label_en: str = ""
    derived: Rule | None = None

    @property
    def joined(self) -> bool:
        """Whether it is of a table that is joined: its name then begins with the join's, see query.joins."""
        return "." in self.name

    def to_json(self) -> dict[str, Any]:
        found = {
            "name": self.name, "kind": self.kind.value, "role": self.role.value, "domain": list(self.domain),
            "low": self.low, "high": self.high, "scale": self.scale, "required": self.required,
            "label_zh": self.label_zh, "label_en": self.label_en,
        }  # fmt: skip
        return found if self.derived is None else found | {"derived": self.derived.to_json()}


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a resource; `row_key` names source columns that tell an entity's rows apart.

    `whole` is false for what a product shows of one: a derived column may then be there without its source; and
    where columns of others are joined to it.
    Raises SchemaError on construction where the declaration is not sound.
    """

    columns: tuple[Column, ...]
    row_key: tuple[str, ...] = ()
    whole: bool = True

    def __post_init__(self) -> None:
        if self.whole and any(column.derived for column in self.columns):
            object.__setattr__(self, "columns", _with_domains(self.columns))
        for problem in _problems(self):
            raise SchemaError(problem)

    @property
    def stored(self) -> "Schema":
        """The columns that a snapshot has: what intake reads, encodes and clusters by."""
        return Schema(tuple(column for column in self.columns if column.derived is None), self.row_key)

    @property
    def entity(self) -> Column | None:
        return next((column for column in self.columns if column.role is Role.ENTITY), None)

    def get(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def only(self, names: "frozenset[str] | set[str]") -> "Schema":
        """The schema of a product that shows only `names`."""
        return _only(self, frozenset(names))

    def to_json(self) -> dict[str, Any]:
        return {"columns": [column.to_json() for column in self.columns], "row_key": list(self.row_key)}


@lru_cache(maxsize=256)
def _only(schema: Schema, names: frozenset[str]) -> Schema:
    """Kept, for every query asks for it, and to look through all domains again takes longer than the query."""
    return Schema(tuple(column for column in schema.columns if column.name in names), schema.row_key, whole=False)


class SchemaError(ValueError):
    """A declaration that is not sound; the text names the column."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is public about one snapshot: schema with domains filled in, and counts.

    `rows` and `entities` are given for `open` and `guarded` populations only (0 otherwise). Private to the node,
    and in nothing it publishes: `most_rows`, the largest number of rows of one entity, and `with_nulls`, the
    measures that are null somewhere (None where an older intake did not say).

    `unique`, of `open` resources only, are the stored dimensions in which no value is in two rows: by these they may
    be joined. Of others, `population` is the one whose entities are known again in its other snapshots, and `one_row`
    says that no entity has two rows, as the holder declared and intake found: these are joined by the entity.
    `looked_up` and `matched` are numbers of what is joined to it, by key and by entity, and in no JSON (query.joins).
    """

    resource: str
    snapshot: str
    schema: Schema
    rows: int
    entities: int = 0
    most_rows: int = 0
    taken_at: str = ""  # RFC 3339, UTC
    with_nulls: tuple[str, ...] | None = None
    unique: tuple[str, ...] = ()
    population: str = ""
    one_row: bool = False
    looked_up: int = 0
    matched: int = 0

    def published(self, counts: bool) -> "Manifest":
        """The public one: without what stays in the node and, unless `counts`, without numbers of the data."""
        public = replace(self, most_rows=0, with_nulls=None)
        return public if counts else replace(public, rows=0, entities=0)

    def to_json(self) -> dict[str, Any]:
        found = {
            "v": 1, "resource": self.resource, "snapshot": self.snapshot, "schema": self.schema.to_json(),
            "rows": self.rows, "entities": self.entities, "most_rows": self.most_rows,
            "taken_at": self.taken_at,
        }  # fmt: skip
        found |= {} if self.with_nulls is None else {"with_nulls": list(self.with_nulls)}
        found |= {"unique": list(self.unique)} if self.unique else {}
        found |= {"population": self.population} if self.population else {}
        return found | {"one_row": True} if self.one_row else found


def nests(schema: Schema, coarse: Column, fine: Column) -> bool:
    """Whether each value of `fine` lies in one value of `coarse`, by the rules of derived columns of `schema`."""
    step: Column | None = coarse
    while step is not None and step.derived is not None:
        if step.derived.of == fine.name:
            return True
        step = schema.get(step.derived.of)
    one, other = coarse.derived, fine.derived
    return one is not None and other is not None and one.of == other.of and within(other.by, one.by)


def nested_codes(schema: Schema, coarse: Column, fine: Column) -> tuple[int, ...]:
    """For each code of `fine`, from 0, the code of the dimension `coarse` that it nests in."""
    rules: list[Rule] = []
    step: Column | None = coarse
    while step is not None and step.derived is not None and step.name != fine.name:
        rules.append(step.derived)
        step = schema.get(step.derived.of)
    if (step is None or step.name != fine.name) and coarse.derived is not None:
        rules = [coarse.derived]  # two periods of one date: the coarse one of a fine one's first day
    values = list(fine.domain)
    for rule in reversed(rules):
        known = iter(coarser(rule, [value for value in values if value is not None]))
        values = [None if value is None else next(known) for value in values]
    numbers = codes(coarse)
    return (0, *(numbers.get(value, 0) for value in values))


def codes(column: Column) -> Mapping[Value, int]:
    """The code of each value of a dimension's domain, from 1 in domain order."""
    return _codes(column.kind, column.domain)


@lru_cache(maxsize=256)
def _codes(kind: Kind, domain: tuple[Value, ...]) -> Mapping[Value, int]:
    # `kind` keeps apart what Python holds equal: the domains (1, 0) and (True, False).
    return {value: code for code, value in enumerate(domain, 1)}


def column_from_json(value: Mapping[str, Any]) -> Column:
    """Raises SchemaError where `value` is no column."""
    try:
        return Column(
            name=str(value["name"]),
            kind=Kind(value["kind"]),
            role=Role(value["role"]),
            domain=tuple(value.get("domain", ())),
            low=int(value.get("low", 0)),
            high=int(value.get("high", 0)),
            scale=int(value.get("scale", 0)),
            required=bool(value.get("required", False)),
            label_zh=str(value.get("label_zh", "")),
            label_en=str(value.get("label_en", "")),
            derived=rule_from_json(value["derived"]) if value.get("derived") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SchemaError(f"column {value!r}: {error}") from error


def schema_from_json(value: Mapping[str, Any]) -> Schema:
    """Raises SchemaError where `value` is no sound schema."""
    columns = value.get("columns")
    if not isinstance(columns, list | tuple):
        raise SchemaError("columns: a list is required")
    return Schema(tuple(column_from_json(column) for column in columns), tuple(value.get("row_key", ())))


def manifest_from_json(value: Mapping[str, Any]) -> Manifest:
    """Raises SchemaError where `value` is no manifest."""
    try:
        return Manifest(
            resource=str(value["resource"]),
            snapshot=str(value["snapshot"]),
            schema=schema_from_json(value["schema"]),
            rows=int(value["rows"]),
            entities=int(value.get("entities", 0)),
            most_rows=int(value.get("most_rows", 0)),
            taken_at=str(value.get("taken_at", "")),
            with_nulls=None if value.get("with_nulls") is None else tuple(map(str, value["with_nulls"])),
            unique=tuple(map(str, value.get("unique", ()))),
            population=str(value.get("population", "")),
            one_row=value.get("one_row") is True,
        )
    except (KeyError, TypeError) as error:
        raise SchemaError(f"manifest: {error}") from error


def fits(kind: Kind, value: object) -> bool:
    """Whether `value` is a JSON value of `kind`."""
    match kind:
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.INTEGER | Kind.DECIMAL:
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.DATE:
            return isinstance(value, str) and _is_date(value)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _with_domains(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """`columns` with the domains of derived ones, which follow from their sources'; faulty ones as they are."""
    known: dict[str, Column] = {}
    for column in columns:
        source = known.get(column.derived.of) if column.derived else None
        if column.derived and source and not _misderived(column, column.derived, source):
            column = _follow(column, column.derived, source)
        known.setdefault(column.name, column)
    return tuple(known[column.name] for column in columns)


def _follow(column: Column, rule: Rule, source: Column) -> Column:
    if rule.edges:
        return replace(column, domain=ranges(rule, source.scale), required=False)
    total = source.required and None not in coarser(rule, source.domain)
    return replace(column, domain=domain_of(rule, source.domain), required=total)


def _misderived(column: Column, rule: Rule, source: Column) -> str:
    """What is wrong with how `column` is derived of `source`; "" where nothing is."""
    if column.role is not Role.DIMENSION or sum(map(bool, (rule.edges, rule.by, rule.map))) != 1:
        return "what is derived is a dimension, by one of edges, by and map"
    if rule.edges:
        if source.role is not Role.MEASURE or column.kind is not Kind.STRING:
            return "edges cut a measure, into strings"
        if len(rule.edges) < 2 or list(rule.edges) != sorted(set(rule.edges)):
            return "edges are two or more, ascending"
        if rule.labels and (len(rule.labels) != len(rule.edges) - 1 or "" in rule.labels):
            return "labels are one for each range"
        return "" if max(map(abs, rule.edges)) <= LARGEST else "edges are at most 2**53 - 1"
    if source.role is not Role.DIMENSION or not all(fits(source.kind, value) for value in source.domain):
        return "periods and mappings are of a dimension"
    if rule.by:
        return "" if source.kind is Kind.DATE is column.kind else "periods are dates, of a date"
    fine, coarse = zip(*rule.map, strict=True)
    if not all(fits(source.kind, value) for value in fine) or len(set(fine)) != len(fine):
        return "a mapping is of values of its source, each once"
    if source.domain and not set(fine) <= set(source.domain):
        return "a mapping is of values in the domain of its source"
    return "" if all(fits(column.kind, value) for value in coarse) else "a mapping gives values of the column's kind"


def _underived(schema: Schema) -> list[str]:
    """What is wrong with derived columns: each is of a column before it."""
    found: list[str] = []
    known: dict[str, Column] = {}
    for column in schema.columns:
        if column.derived is not None:
            source = known.get(column.derived.of)
            wrong = _misderived(column, column.derived, source) if source else "it is derived of no column before it"
            found += [f"{column.name}: {wrong}"] if wrong else []
        known[column.name] = column
    return found


def _problems(schema: Schema) -> list[str]:
    """Every fault of a declaration, in order. Unknown means refuse: no bounds, no measure."""
    found = []
    names = [column.name for column in schema.columns]
    if len(set(names)) != len(names):
        found.append("column names repeat")
    if sum(column.role is Role.ENTITY for column in schema.columns) > 1:
        found.append("one entity column at most")
    for column in schema.columns:
        if column.name in RESERVED:
            found.append(f"{column.name}: every answer has a column of this name; rename it in the source")
        plain = column.name.isidentifier() and column.name.isascii() and column.name == column.name.lower()
        if schema.whole and not plain:
            found.append(f"{column.name!r}: a name is lower-case letters, digits and underscores")
        if schema.whole and len(column.name) > 63:
            found.append(f"{column.name[:20]}…: a name has at most 63 characters")
        if column.role is Role.MEASURE:
            if column.kind not in (Kind.INTEGER, Kind.DECIMAL):
                found.append(f"{column.name}: a measure is an integer or a decimal")
            if column.low >= column.high:
                found.append(f"{column.name}: a measure needs bounds, low < high")
            if max(abs(column.low), abs(column.high)) > LARGEST:
                found.append(f"{column.name}: bounds are at most 2**53 - 1, in units of 10**-scale")
        if not 0 <= column.scale <= 12 or (column.scale and column.kind is not Kind.DECIMAL):
            found.append(f"{column.name}: scale is 0 to 12, and for decimals only")
        if column.required and column.role is not Role.DIMENSION:
            found.append(f"{column.name}: only a dimension can be required")
        if column.role is Role.DIMENSION and column.kind is Kind.DECIMAL:
            found.append(f"{column.name}: a dimension is not a decimal")
        if not all(fits(column.kind, value) for value in column.domain):
            found.append(f"{column.name}: a domain's values are of the column's kind")
        elif len(set(column.domain)) != len(column.domain):
            found.append(f"{column.name}: a domain's values repeat")
    return found + (_underived(schema) if schema.whole else [])
