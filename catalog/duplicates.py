"""Looking for what is registered already: which resources look like one that is applied for, and why."""

from django.db.models import Count

from catalog import alike, words
from catalog.alike import Look
from catalog.models import Column, Gram, Resource

MOST = 5  # that are named
_CANDIDATES = 50  # of each kind that are compared
_SEEN = (Resource.State.REGISTERED, Resource.State.SUSPENDED)  # another's draft is nobody's to learn of


def of(resource: Resource) -> list[tuple[str, dict[str, int]]]:
    """The codes of registered resources that look like `resource`, with why (`alike.why`); the most alike first."""
    mine = _look(resource)
    near = _near(resource, mine)
    others = Resource.objects.filter(pk__in=near, state__in=_SEEN).exclude(pk=resource.pk).prefetch_related("columns")
    found = [(other.code, reasons) for other in others if (reasons := alike.why(mine, _look(other)))]
    return sorted(found, key=lambda each: (-max(each[1].values()), each[0]))[:MOST]


def _look(resource: Resource) -> Look:
    grams = words.grams(f"{resource.name_zh}\n{resource.name_en}")
    return Look(resource.code, grams, frozenset(column.name.casefold() for column in resource.columns.all()))


def _near(resource: Resource, look: Look) -> set[object]:
    """The few that may look alike at all, found by the indexes: in names, or in names of columns."""
    texts = Gram.objects.filter(gram__in=look.grams).exclude(entry__resource=None).values_list("entry__resource")
    named = Column.objects.filter(name__in={column.name for column in resource.columns.all()}).values_list("resource")
    near: set[object] = set()
    for rows in (texts, named):
        near |= {key for key, _ in rows.annotate(n=Count("*")).order_by("-n")[:_CANDIDATES]}
    return near
