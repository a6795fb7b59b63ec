"""Searching the catalog: an index of pairs of characters, the same on SQLite and PostgreSQL (docs/adr/0011).

The index knows texts only. Whether a thing is public, and its facets, are read from the thing itself at every search,
so that nothing is found that is not public at that moment.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Count, OuterRef, QuerySet, Subquery, Value, When

from catalog import words
from catalog.models import Entry, Gram, Product, Resource
from catalog.words import Wanted

PAGE = 20
FEW = 1_000  # entries found are named one by one; more are found again in each query
MOST_PAGES = 2_500  # 50,000 found; whoever wants more asks narrower
FACETS = ("what", "sector", "data_class", "holder", "kind", "profile", "use", "mode")
"""What a search can be narrowed by; the last four are of products only. `use` decides what is free (65号)."""

RESOURCES = Resource.objects.filter(state=Resource.State.REGISTERED)
PRODUCTS = Product.objects.filter(state=Product.State.LISTED)
"""What is public of each."""

_OF_RESOURCES = {"sector": "sector", "data_class": "data_class", "holder": "holder_id"}
_OF_PRODUCTS = {
    "sector": "resource__sector", "data_class": "resource__data_class", "holder": "resource__holder_id",
    "kind": "kind", "profile": "profile", "use": "use", "mode": "authorization__mode",
}  # fmt: skip
_KINDS: tuple[tuple[str, QuerySet[Any], dict[str, str]], ...] = (
    ("resource", RESOURCES, _OF_RESOURCES),
    ("product", PRODUCTS, _OF_PRODUCTS),
)
Tally = list[tuple[dict[str, str], int]]


@dataclass(frozen=True, slots=True)
class Query:
    """A search: `text` as typed, `chosen` the value of each facet that narrows it; pages count from 1."""

    text: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)
    page: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """`things` of one page, best first; `counts` says of each facet how many each of its values would find."""

    total: int
    pages: int
    things: list[Resource | Product]
    counts: dict[str, dict[str, int]]


def index(thing: Resource | Product) -> None:
    """Take the thing's text into the index, where it changed. Two SQL queries where it did not."""
    text = "\n".join((thing.name_zh, thing.name_en, thing.description_zh, thing.description_en, thing.code))
    digest = hashlib.sha256(text.encode()).hexdigest()
    with transaction.atomic():
        key = {"resource" if isinstance(thing, Resource) else "product": thing}
        entry, new = Entry.objects.get_or_create(**key, defaults={"digest": digest})
        if not new:
            if entry.digest == digest:
                return
            Gram.objects.filter(entry=entry).delete()
            Entry.objects.filter(pk=entry.pk).update(digest=digest)
        Gram.objects.bulk_create(
            [Gram(gram=gram, entry=entry) for gram in sorted(words.grams(text))], batch_size=500, ignore_conflicts=True
        )


def find(query: Query) -> Found:
    """What is public and fits; a page beyond the last is empty. At most seven SQL queries, whatever is found."""
    wanted = words.wanted(query.text)
    if query.text.strip() and wanted is None:  # signs only
        return Found(0, 0, [], {facet: {} for facet in FACETS})
    matching = None if wanted is None else _matching(wanted)
    tally = [row for kind in _KINDS for row in _tally(kind, matching)]
    total = sum(n for row, n in tally if _fits(row, query.chosen))
    counts = {facet: _counted(tally, query.chosen, facet) for facet in FACETS}
    start = (query.page - 1) * PAGE
    things = _things(list(_best_first(query, wanted, matching)[start : start + PAGE])) if start < total else []
    return Found(total, min(-(-total // PAGE), MOST_PAGES), things, counts)


def public(page: int, size: int) -> tuple[int, list[Resource | Product]]:
    """How much is public, and one page of it in an order that stays; pages count from 1."""
    rows = _best_first(Query())
    total = RESOURCES.count() + PRODUCTS.count()
    return total, _things(list(rows[(page - 1) * size : page * size]))


def _matching(wanted: Wanted) -> QuerySet[Any] | list[int]:
    """The entries with enough of the grams: their keys if they are FEW, else the query for them."""
    found = Gram.objects.filter(gram__in=wanted.grams).values("entry_id").annotate(n=Count("*"))
    found = found.filter(n__gte=wanted.least).order_by().values_list("entry_id", flat=True)
    keys = list(found[: FEW + 1])
    return found if len(keys) > FEW else keys


def _rows(rows: QuerySet[Any], matching: Any) -> QuerySet[Any]:
    return rows if matching is None else rows.filter(entry__in=matching)


def _tally(kind: tuple[str, QuerySet[Any], dict[str, str]], matching: Any) -> Tally:
    """How many there are of each combination of facets: all counts come from this one query."""
    what, rows, paths = kind
    found = _rows(rows, matching).order_by().values_list(*paths.values()).annotate(n=Count("*"))
    return [({"what": what} | dict(zip(paths, map(str, values), strict=True)), n) for *values, n in found]


def _best_first(query: Query, wanted: Wanted | None = None, matching: Any = None) -> QuerySet[Any]:
    """What and key of all that fits, by score and then by code."""
    found, score = [], _score(wanted, matching)
    for what, rows, paths in _KINDS:
        chosen = {facet: value for facet, value in query.chosen.items() if value}
        if chosen.pop("what", what) != what or not chosen.keys() <= paths.keys() or not _possible(chosen):
            rows = rows.none()
        rows = _rows(rows, matching).filter(
            **{paths[facet]: value for facet, value in chosen.items() if facet in paths}
        )
        found.append(rows.annotate(score=score, what=Value(what)).values_list("what", "pk", "code", "score"))
    return found[0].union(found[1], all=True).order_by("-score", "code", "what")


def _possible(chosen: Mapping[str, str]) -> bool:
    """A holder is a key: other text is nobody's."""
    try:
        return "holder" not in chosen or bool(UUID(chosen["holder"]))
    except ValueError:
        return False


def _score(wanted: Wanted | None, matching: Any) -> Any:
    """How many of the grams a row has, where not every row has all; among many rows, whether it has all."""
    if wanted is None or wanted.least == len(wanted.grams):
        return Value(0)
    if not isinstance(matching, list):
        return Case(When(entry__in=_matching(replace(wanted, least=len(wanted.grams))), then=1), default=0)
    mine = Gram.objects.filter(entry=OuterRef("entry"), gram__in=wanted.grams).values("entry_id")
    return Subquery(mine.annotate(n=Count("*")).values("n"))


def _things(keys: list[tuple[Any, ...]]) -> list[Resource | Product]:
    heavy = (f"snapshot__{name}" for name in ("manifest", "policy", "release"))
    resources = Resource.objects.select_related("holder", "snapshot").defer(*heavy)
    products = Product.objects.select_related("merchant", "resource__holder", "authorization")
    found: dict[Any, Any] = resources.in_bulk([key for what, key, *_ in keys if what == "resource"])
    found |= products.in_bulk([key for what, key, *_ in keys if what == "product"])
    return [found[key] for _what, key, *_ in keys]


def _fits(row: Mapping[str, str], chosen: Mapping[str, str], but: str = "") -> bool:
    return all(row.get(facet, "") == value for facet, value in chosen.items() if value and facet != but)


def _counted(tally: Tally, chosen: Mapping[str, str], facet: str) -> dict[str, int]:
    """How many each value of the facet finds with the other facets as chosen; the most first."""
    counter: Counter[str] = Counter()
    for row, n in tally:
        if row.get(facet) and _fits(row, chosen, facet):
            counter[row[facet]] += n
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
