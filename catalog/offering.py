"""What a buyer could ask of a product, told from its composition: the preview that merchants compose by, and the
standard questions of a delivery review. Pure: no Django, no I/O.

Nothing is told that would be refused: every function, filter and question is bound by the parser and the rules that
a buyer's query meets.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from catalog.composition import Composition
from exchange.errors import Problem
from exchange.sandbox import plan, query, sql
from exchange.sandbox.query import AggregateQuery, Profile
from exchange.sandbox.schema import Column, Manifest, Role, Schema, Value

FUNCTIONS = ("COUNT", "SUM", "AVG", "VARIANCE", "STDDEV", "MEDIAN")
MOST_EXAMPLES = 6  # values of a dimension that are shown
MOST_OF_A_KIND = 3  # standard questions by dimension, and by measure
MOST_PRIVATE = 2  # sample questions where each takes of a budget that never comes back
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Offered:
    """A column as buyers see it. Of a dimension, `values` is how many its domain has and `examples` the first; of a
    measure, `functions` are what it is answered for."""

    column: Column
    values: int = 0
    examples: tuple[Value, ...] = ()
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offering:
    """What could be asked: `bins` are dimensions that holders derive of others, `filters` the columns that WHERE may
    name, `questions` SQL that is answered."""

    dimensions: tuple[Offered, ...]
    bins: tuple[Offered, ...]
    measures: tuple[Offered, ...]
    entity: str
    filters: tuple[str, ...]
    questions: tuple[str, ...]


def offering(code: str, made: Composition, manifest: Manifest) -> Offering:
    """What a buyer of the product `code` could ask. Total: what cannot be asked is left out."""
    asked = _Asked(code, made, manifest)
    columns = asked.schema.columns
    grouped = [asked.dimension(column) for column in columns if asked.groups(column)]
    summed = [asked.measure(column) for column in columns if column.role is Role.MEASURE]
    measures = tuple(each for each in summed if each.functions)
    entity = asked.schema.entity.name if asked.schema.entity else ""
    counted = entity if entity and asked.answers(f"SELECT COUNT(DISTINCT {asked.name(entity)})") else ""
    return Offering(
        dimensions=tuple(each for each in grouped if each.column.derived is None),
        bins=tuple(each for each in grouped if each.column.derived is not None),
        measures=measures,
        entity=counted,
        filters=tuple(column.name for column in columns if asked.filters(column)),
        questions=tuple(asked.questions(grouped, measures, counted)),
    )


def standard(code: str, made: Composition, manifest: Manifest) -> tuple[str, ...]:
    """The questions that a delivery review asks; few where each takes of a budget that never comes back."""
    questions = offering(code, made, manifest).questions
    if made.profile is not Profile.PRIVATE:
        return questions
    grouped = [each for each in questions if "GROUP BY" in each and "WHERE" not in each]
    return tuple((grouped or list(questions))[-MOST_PRIVATE:])


def looks(text: str, made: Composition, manifest: Manifest) -> int:
    """How often a question looks at its population, see plan.looks. Raises Problem where it would be refused."""
    return plan.looks(bound(text, made, manifest))


def bound(text: str, made: Composition, manifest: Manifest) -> AggregateQuery:
    """The question as a buyer's would be bound. Raises Problem as that would."""
    asked = query.bind(sql.parse(text), manifest.schema.only(made.columns), made.profile, {}).query
    plan.shape(asked, manifest, made.disclosure)
    return asked


class _Asked:
    """One composition, and whether it answers."""

    def __init__(self, code: str, made: Composition, manifest: Manifest) -> None:
        self.made, self.manifest = made, manifest
        self.schema: Schema = manifest.schema.only(made.columns)
        self.table = _quoted(code, "SELECT COUNT(*) FROM {}")

    def name(self, column: str) -> str:
        return _quoted(column, "SELECT COUNT({}) FROM t")

    def answers(self, select: str, rest: str = "") -> bool:
        try:
            bound(self.text(select, rest), self.made, self.manifest)
        except Problem:
            return False
        return True

    def text(self, select: str, rest: str = "") -> str:
        return f"{select} FROM {self.table} {rest}".strip()

    def groups(self, column: Column) -> bool:
        name = self.name(column.name)
        return column.role is Role.DIMENSION and self.answers(f"SELECT {name}, COUNT(*) AS n", f"GROUP BY {name}")

    def filters(self, column: Column) -> bool:
        return self.answers("SELECT COUNT(*) AS n", f"WHERE {self.name(column.name)} IS NOT NULL")

    def dimension(self, column: Column) -> Offered:
        return Offered(column, len(column.domain), column.domain[:MOST_EXAMPLES])

    def measure(self, column: Column) -> Offered:
        answered = (each for each in FUNCTIONS if self.answers(f"SELECT {each}({self.name(column.name)})"))
        return Offered(column, functions=tuple(answered))

    def questions(self, grouped: list[Offered], measures: tuple[Offered, ...], entity: str) -> Iterator[str]:
        """Count, count by each of the first dimensions, the first measures by the first dimension, a filter."""
        found = [("SELECT COUNT(*) AS n", "")]
        keys = [self.name(each.column.name) for each in grouped]
        found += [(f"SELECT {key}, COUNT(*) AS n", f"GROUP BY {key}") for key in keys[:MOST_OF_A_KIND]]
        for each in measures[:MOST_OF_A_KIND]:
            by = [f"{keys[0]}, ", f"GROUP BY {keys[0]}"] if keys else ["", ""]
            figure = next(name for name in ("AVG", *each.functions) if name in each.functions)
            found.append((f"SELECT {by[0]}{figure}({self.name(each.column.name)}) AS figure", by[1]))
        if entity:
            found.append((f"SELECT COUNT(DISTINCT {self.name(entity)}) AS n", ""))
        value = next((each for each in grouped if each.examples and each.examples[0] is not None), None)
        if value is not None:
            test = f"{self.name(value.column.name)} = {_literal(value.examples[0])}"
            found.append(("SELECT COUNT(*) AS n", f"WHERE {test}"))
        return (self.text(*each) for each in dict.fromkeys(found) if self.answers(*each))


def _quoted(name: str, place: str) -> str:
    """The name as SQL says it: plain where the parser reads it so in its `place`."""
    if PLAIN.fullmatch(name):
        with suppress(Problem):
            sql.parse(place.format(name))
            return name
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
