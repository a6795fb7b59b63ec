"""A question bound to a product's columns under its profile. Pure: no Django, no I/O.

The rules of DESIGN section 4 stand in `Rules`; the node asks them again of what the exchange sends.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from exchange.errors import Problem
from exchange.sandbox.query.faults import Faults
from exchange.sandbox.query.grid import cells, grids
from exchange.sandbox.query.joins import joined_schema, product_of
from exchange.sandbox.query.model import (
    FIGURES,
    AggregateQuery,
    Function,
    Measure,
    Predicate,
    Profile,
    columns_of,
    made_of,
    named,
)
from exchange.sandbox.query.names import resolved
from exchange.sandbox.query.normal import render, tree
from exchange.sandbox.query.question import (
    Among,
    Condition,
    Every,
    Formula,
    Item,
    Missing,
    Named,
    Not,
    Question,
    Some,
    Test,
    Truncated,
)
from exchange.sandbox.query.view import (
    Bound,
    Calculation,
    Output,
    Term,
    View,
    changed,
    changed_view,
    compared,
    leaves,
    size,
    terms,
)
from exchange.sandbox.schema import RESERVED, Column, Manifest, Role, Schema, nests

LEVEL = "level"  # the column of an answer that tells the levels of a ROLLUP apart
MAX_MEASURES = 16
MAX_DIMENSIONS = 6
MAX_TERMS = 200  # operations, aggregates and numbers in calculations, HAVING and ORDER BY
MAX_CALCULATED = 4_000_000  # of these in all rows together: some seconds
MAX_KEYS = 16  # of ORDER BY
MAX_FILTERED = 4  # different filters of aggregates, see docs/privacy.md
MAX_TOTALS = 32  # a frame tells which of a cell's totals are null in 32 bits
MAX_CONDITIONS = 200
MAX_LITERALS = 1_000
MAX_COMPARISONS = 1_000_000  # of a condition's dimension with each value of its domain: a tenth of a second
MAX_CELLS = {Profile.OPEN: 1_000_000, Profile.GUARDED: 50_000, Profile.PRIVATE: 50_000}


class Rules:
    """What a profile allows of each column; every refusal is collected in `faults`."""

    def __init__(self, schema: Schema, profile: Profile, faults: Faults) -> None:
        self.schema, self.profile, self.faults = schema, profile, faults

    def declared(self, group: Truncated) -> str | None:
        """The dimension that is declared as a date truncated to a period, if there is one."""
        rules = [(column.name, column.derived) for column in self.schema.columns if column.derived]
        periods = {(rule.of, rule.by.value): name for name, rule in rules if rule.by is not None}
        if (group.column, group.by) in periods:
            return periods[group.column, group.by]
        declared = [f"{name} (the {by} of {of})" for (of, by), name in periods.items()]
        hint = "declared are " + ", ".join(declared) if declared else "the product declares no periods"
        self.faults.add("column_not_dimension", f"{group.column[:63]} is not declared by {group.by[:20]}", hint)
        return None

    def groups(self, asked: Collection[str | Truncated]) -> list[str]:
        """The dimensions meant by `asked`; a period that is not declared is left out."""
        meant = [self.declared(group) if isinstance(group, Truncated) else group for group in asked]
        return [name for name in meant if name is not None]

    def dimension(self, name: str) -> Column | None:
        """The column to group by, if it may be."""
        column = self._column(name)
        if column is None:
            return None
        if column.role is not Role.DIMENSION:
            self.faults.add("column_not_dimension", f"{name} is not a dimension", self._offered(Role.DIMENSION))
        elif self.profile is not Profile.OPEN and not column.domain:
            self.faults.add("column_not_dimension", f"{name} has no declared domain")
        return column

    def measure(
        self, function: Function, name: str | None, where: Predicate | None = None, at: int | None = None
    ) -> Measure | None:
        """The measure of `function` over a column, if it may be asked; COUNT of what is never null is COUNT(*)."""
        column = None if name is None else self._column(name)
        if function is Function.QUANTILE and self.profile is not Profile.PRIVATE:
            hint = "only products of the profile private answer quantiles: an exact one shows somebody's value"
            self.faults.add("function_unknown", f"quantiles are not offered under {self.profile.value}", hint)
        if name is not None and column is None:
            return None
        if column is not None and not self._counts(function, column):
            self._refuse_measure(function, column)
        # No row without its entity, or a required value, is taken in: both count the same rows.
        if function is Function.COUNT and column and (column.required or column.role is Role.ENTITY):
            name = None
        return Measure(function, name, where, at)

    def rollup(self, plain: Collection[str], names: Sequence[str]) -> None:
        """Refuses what is no hierarchy: each name finer than the one before it, and none grouped by as well."""
        if set(plain) & set(names) or len(set(names)) < len(names):
            self.faults.add("sql_unsupported", "a dimension is rolled up once, and not grouped by besides")
        for coarse, fine in pairwise(names):
            one, other = self.schema.get(coarse), self.schema.get(fine)
            if one and other and coarse != fine and not nests(self.schema, one, other):
                hint = "ROLLUP takes the levels of a declared hierarchy, coarse to fine"
                self.faults.add("column_not_dimension", f"{fine} is not declared as finer than {coarse}", hint)

    def filter(self, name: str) -> Column | None:
        """The column to filter by, if it may be."""
        column = self._column(name)
        if column is None:
            return None
        # `guarded` keeps to its grid; under `private` noise covers whatever rows a filter takes.
        allowed = (Role.DIMENSION,) if self.profile is Profile.GUARDED else (Role.DIMENSION, Role.MEASURE)
        if column.role not in allowed:
            hint = self._offered(Role.DIMENSION)
            self.faults.add("filter_not_allowed", f"{name} may not be filtered by", hint)
        return column

    def whole(self, query: AggregateQuery) -> None:
        """What is known once every part is: the grid, the names of the answer, the product itself."""
        self.size("cells", cells(grids(query, self.schema)), MAX_CELLS[self.profile])
        self._names(query)
        self._joins(query)
        if self.profile is not Profile.OPEN and self.schema.entity is None:
            self.faults.add("product_not_queryable", "the product shows no protected entity to count")

    def _names(self, query: AggregateQuery) -> None:
        """Every column of the answer, and every total behind it, has a name of its own."""
        totals = {(total, m.column, m.where) for m in query.measures for total in made_of(m.function, self.profile)}
        quantiles = [measure for measure in query.measures if measure.function is Function.QUANTILE]
        self.size("totals", len(totals) + FIGURES * len(quantiles), MAX_TOTALS)
        filters = {measure.where for measure in query.measures if measure.where is not None}
        if self.profile is not Profile.OPEN:
            self.size("filters of aggregates", len(filters), MAX_FILTERED)
        ends = ("", "_low", "_high") if self.profile is Profile.PRIVATE else ("",)
        names = [*(measure.name + end for measure in query.measures for end in ends), *query.dimensions]
        clash = {name for name in names if names.count(name) > 1}
        if clash or len({named(*total) for total in totals}) < len(totals):
            self.faults.add("sql_unsupported", f"{min(clash, default='a name')} would name two columns of the answer")

    def _joins(self, query: AggregateQuery) -> None:
        """Every join does something: one that keeps all rows and of which nothing is used would be a second name
        for the query without it."""
        used = {name.rpartition(".")[0] for name in columns_of(query)}
        for idle in (join for join in query.joins if not join.inner and join.name not in used):
            hint = "leave it out, or write JOIN for the rows that have a match only"
            self.faults.add("join_not_allowed", f"nothing of {product_of(idle)} is used", hint)

    def size(self, what: str, number: int, most: int) -> None:
        if number > most:
            self.faults.add("query_too_large", f"{number} {what}, at most {most} are answered")

    def _column(self, name: str) -> Column | None:
        column = self.schema.get(name)
        if column is None:
            hint = "it has " + ", ".join(column.name for column in self.schema.columns)
            self.faults.add("column_unknown", f"{name[:63]!r} is not a column of the product", hint)
        return column

    def _counts(self, function: Function, column: Column) -> bool:
        match function:
            case Function.COUNT:
                return True
            case Function.COUNT_DISTINCT:
                return self.profile is Profile.OPEN or column.role is Role.ENTITY
            case Function.SUM | Function.AVG | Function.VARIANCE | Function.STDDEV | Function.QUANTILE:
                # On `guarded`, noise follows from records and measure: weights of a buyer's own making, in a table
                # anybody may offer, would draw it anew for the same records. So would another holder's measures.
                return column.role is Role.MEASURE and not (column.joined and self.profile is Profile.GUARDED)

    def _refuse_measure(self, function: Function, column: Column) -> None:
        distinct = function is Function.COUNT_DISTINCT
        hint = self._offered(Role.ENTITY if distinct else Role.MEASURE)
        self.faults.add("column_not_measure", f"{function.value} is not answered for {column.name}", hint)

    def _offered(self, role: Role) -> str:
        guarded = self.profile is Profile.GUARDED and role is Role.MEASURE
        columns = [column for column in self.schema.columns if column.role is role]
        names = [column.name for column in columns if not (guarded and column.joined)]
        return "offered are " + ", ".join(names) if names else "the product offers none"


def bind(question: Question, schema: Schema, profile: Profile, others: Mapping[str, Manifest] | None = None) -> Bound:
    """The normalized query of `question` on a product with the columns `schema`, and its outputs.

    `schema` carries each dimension's domain as the manifest gives it; `others` are the manifests of the products
    that are joined, by their codes, with the columns that these show. Raises Problem with the code that takes
    precedence: column_unknown, column_not_dimension, column_not_measure, filter_not_allowed, join_not_allowed,
    value_invalid, query_too_large, product_not_queryable, or sql_unsupported for names that clash.
    """
    faults, others = Faults(), others or {}
    schemas = {product: other.schema for product, other in others.items()}
    question, joins = resolved(question, schema, schemas, faults)
    schema = joined_schema(schema, joins, {join.name: others[product_of(join)] for join in joins})
    rules = Rules(schema, profile, faults)
    plain, rollup = (rules.groups(part) for part in (question.group_by, question.rollup))
    groups = [*plain, *rollup]
    for name in groups:
        rules.dimension(name)
    rules.rollup(plain, rollup)
    asked = _aggregates(question, rules)
    fit = _check_conditions([question.where, *(item.where for item in asked)], rules)
    where = _where(question.where if fit else None, rules)
    measures = {item: _measure(item, rules, fit) for item in asked}
    rules.size("dimensions", len(set(groups)), MAX_DIMENSIONS)
    rules.size("measures", len(set(measures.values())), MAX_MEASURES)
    names = {item: measure.name if measure else "" for item, measure in measures.items()}
    outputs = tuple(_output(column, names, rules) for column in question.select)
    for output in outputs:
        if isinstance(output.source, str) and output.source not in {*groups, *names.values(), ""}:
            faults.add("sql_unsupported", f"{output.source[:63]} is selected but not grouped by", "add it to GROUP BY")
    _check_labels(outputs, faults)
    faults.settle()  # what a view names is looked up in a question of bounded size
    view = _view(question, set(groups), names, outputs, faults)
    faults.settle()
    found = ordered({m for m in measures.values() if m})
    query = AggregateQuery(found, tuple(sorted({*groups})), where, tuple(rollup), joins)
    rules.whole(query)
    calculated: list[Term[str]] = [output.source for output in outputs if isinstance(output.source, Calculation)]
    calculated += terms(view)
    per_row = sum(size(term) for term in calculated)
    rules.size("calculated values", per_row * cells(grids(query, schema)), MAX_CALCULATED)
    faults.settle()
    return Bound(query, outputs, view)


def ordered(measures: set[Measure]) -> tuple[Measure, ...]:
    return tuple(sorted(measures, key=lambda measure: measure.name))


def _measure(item: Item, rules: Rules, fit: bool) -> Measure | None:
    if item.function is None:
        return None
    return rules.measure(item.function, item.column, _where(item.where if fit else None, rules), item.at)


def _check_conditions(conditions: list[Condition | None], rules: Rules) -> bool:
    """Checks all conditions of a question together; whether they can be brought to their normal form."""
    leaves = [leaf for condition in conditions if condition is not None for leaf in _leaves(condition)]
    rules.size("conditions", len(leaves), MAX_CONDITIONS)
    rules.size("literals", sum(len(x.values) for x in leaves if isinstance(x, Among)), MAX_LITERALS)
    columns = [rules.filter(leaf.column) for leaf in leaves]
    work = sum(len(column.domain) for column in columns if column)
    rules.size("comparisons", work, MAX_COMPARISONS)
    unfit = None in columns or any(column and column.role is Role.ENTITY for column in columns)
    return not unfit and work <= MAX_COMPARISONS


def _where(condition: Condition | None, rules: Rules) -> Predicate | None:
    """The normal form of a condition that was checked."""
    if condition is None:
        return None
    try:
        return render(tree(condition, rules.schema), rules.schema)
    except Problem as problem:
        rules.faults.add(problem.code, problem.detail, problem.hint)
        return None


def _leaves(condition: Condition) -> list[Test | Among | Missing]:
    match condition:
        case Not(part):
            return _leaves(part)
        case Every(parts) | Some(parts):
            return [leaf for part in parts for leaf in _leaves(part)]
        case _:
            return [condition]


def _aggregates(question: Question, rules: Rules) -> list[Item]:
    """Every aggregate of a question, also those that are only calculated with, filtered or ordered by."""
    formulas: list[Term[Named]] = [column.term for column in question.select if isinstance(column, Formula)]
    every_term = [*formulas, *terms(question.view)]
    used = [leaf for term in every_term for leaf in leaves(term)]
    rules.size("terms", sum(map(size, every_term)), MAX_TERMS)
    rules.size("columns to order by", len(question.view.order), MAX_KEYS)
    every = [column for column in question.select if isinstance(column, Item)]
    every += [leaf for leaf in used if isinstance(leaf, Item)]
    return [item for item in every if item.function is not None]


def _output(column: Item | Formula, names: dict[Item, str], rules: Rules) -> Output:
    if isinstance(column, Formula):
        return Output(column.label or "calculated", changed(column.term, names.__getitem__))
    if column.truncated is not None:
        name = rules.declared(column.truncated) or ""
        return Output(column.label or name, name)
    if column.function is None:
        return Output(column.label or column.column or "", column.column or "")
    name = names[column]
    asked = Measure(column.function, column.column, None, column.at).name if column.where is None else name
    return Output(column.label or asked, name)


def _view(
    question: Question, groups: set[str], names: dict[Item, str], outputs: tuple[Output, ...], faults: Faults
) -> View[str]:
    """The view by names of the release's table. A name stands for the column it labels, else for a dimension."""
    labels = {output.label: output.source for output in outputs}

    def known(leaf: Named) -> Term[str]:
        if isinstance(leaf, Item):
            return names[leaf]
        if leaf not in labels and leaf not in groups and not (leaf == LEVEL and question.rollup):
            hint = "name a dimension of GROUP BY, a column of the answer by its label, or an aggregate"
            faults.add("column_unknown", f"{leaf[:63]!r} is no column of the answer", hint)
        return labels.get(leaf, leaf)

    view = changed_view(question.view, known)
    numbers = [] if view.having is None else list(compared(view.having))
    numbers += [key.term for key in view.order if isinstance(key.term, Calculation)]
    if dimensions := {leaf for term in numbers for leaf in leaves(term)} & groups:
        detail = f"{min(dimensions)} is a dimension: HAVING and calculations are of numbers"
        faults.add("sql_unsupported", detail, "filter dimensions in WHERE")
    return view


def _check_labels(outputs: tuple[Output, ...], faults: Faults) -> None:
    labels = [output.label for output in outputs]
    for label in {label for label in labels if labels.count(label) > 1}:
        faults.add("sql_unsupported", f"two columns are called {label[:63]!r}", "give each its own alias")
    if reserved := RESERVED & set(labels):
        faults.add("sql_unsupported", f"{min(reserved)} is a column of the answer already", "choose another alias")
    if any(len(label) > 63 or not label.isprintable() for label in labels):
        faults.add("sql_unsupported", "an alias is longer than 63 characters, or has some that cannot be seen")
