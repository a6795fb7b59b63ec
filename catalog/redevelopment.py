"""Who redevelops what. Pure: no Django, no I/O.

27号, the agreement's item 6: an operator takes no part, direct or indirect, in redeveloping what it delivers.
"""

from collections.abc import Collection, Iterator, Mapping


def controllers(party: str, controlled_by: Mapping[str, str]) -> Iterator[str]:
    """The party itself, and everyone who controls it, from near to far; a circle ends where it closes."""
    seen: set[str] = set()
    step: str | None = party
    while step is not None and step not in seen:
        seen.add(step)
        yield step
        step = controlled_by.get(step)


def barred(merchant: str, operators: Collection[str], controlled_by: Mapping[str, str]) -> str | None:
    """The one of `operators`, under whose authorizations the bases were delivered, that `merchant` is or is
    controlled by; None where there is none, and the merchant may redevelop them."""
    return next((each for each in controllers(merchant, controlled_by) if each in operators), None)


def independent(one: str, other: str, controlled_by: Mapping[str, str]) -> bool:
    """Whether neither of the two is the other or controlled by it: then the one may review the other's work."""
    return other not in controllers(one, controlled_by) and one not in controllers(other, controlled_by)


def closure(product: str, bases: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Every product that `product` is made of, whatever lies between: indirect redevelopment is redevelopment."""
    found: set[str] = set()
    todo = list(bases.get(product, ()))
    while todo:
        step = todo.pop()
        if step not in found:
            found.add(step)
            todo += bases.get(step, ())
    return frozenset(found - {product})
