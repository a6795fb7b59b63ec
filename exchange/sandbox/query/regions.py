"""Sets of a column's values, and the algebra that brings equal filters to one form. Pure.

A column's values are integers: a dimension's codes 1 … n in domain order, a measure's units low … high, and
null. A `Region` is a set of them, so AND is intersection and OR is union. A filter is a `Tree` of regions in
negation normal form: only "true" counts, since unknown and false both drop a row.
"""

from dataclasses import dataclass
from typing import NamedTuple

Span = tuple[int, int]
"""Both ends inclusive."""


class Line(NamedTuple):
    """Where a column's values lie, and whether it can be null."""

    low: int
    high: int
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Region:
    """Where `column` is in one of `spans` (disjoint, ascending, never adjacent), or null if `null` is set."""

    column: str
    spans: tuple[Span, ...]
    null: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """All of `parts` (`every`) or any of them. Without parts it is true or false."""

    every: bool
    parts: "tuple[Region | Tree, ...]" = ()


Node = Region | Tree
TRUE, FALSE = Tree(True), Tree(False)


def joined(spans: list[Span]) -> tuple[Span, ...]:
    """The union of `spans`; empty ones vanish, touching ones merge."""
    merged: list[Span] = []
    for low, high in sorted(span for span in spans if span[0] <= span[1]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def common(left: tuple[Span, ...], right: tuple[Span, ...]) -> tuple[Span, ...]:
    """The intersection of two unions of spans."""
    return joined([(max(a[0], b[0]), min(a[1], b[1])) for a in left for b in right])


def others(spans: tuple[Span, ...], low: int, high: int) -> tuple[Span, ...]:
    """What of low … high lies outside `spans`."""
    edges = [low - 1, *(edge for span in spans for edge in span), high + 1]
    return joined([(edges[i] + 1, edges[i + 1] - 1) for i in range(0, len(edges), 2)])


def simplify(node: Node, lines: dict[str, Line]) -> Node:
    """`node` flattened, with the regions of one column merged and constants folded.

    The result means the same for every row, and simplifying it again changes nothing.
    """
    if isinstance(node, Region):
        return _constant(node, lines[node.column])
    parts: dict[object, Node] = {}
    for part in (simplify(part, lines) for part in node.parts):
        same = isinstance(part, Tree) and part.every == node.every
        for piece in part.parts if same and isinstance(part, Tree) else (part,):
            _place(parts, piece, node.every)
    found = [_constant(part, lines[part.column]) if isinstance(part, Region) else part for part in parts.values()]
    if Tree(not node.every) in found:
        return Tree(not node.every)
    kept = tuple(part for part in found if part != Tree(node.every))
    return kept[0] if len(kept) == 1 else Tree(node.every, kept)


def _place(parts: dict[object, Node], piece: Node, every: bool) -> None:
    """Add `piece` to `parts`, merged with the region of its column if there is one."""
    known = parts.get(piece.column) if isinstance(piece, Region) else None
    if isinstance(piece, Region) and isinstance(known, Region):
        if every:
            piece = Region(piece.column, common(known.spans, piece.spans), known.null and piece.null)
        else:
            piece = Region(piece.column, joined([*known.spans, *piece.spans]), known.null or piece.null)
    parts[piece.column if isinstance(piece, Region) else piece] = piece


def _constant(region: Region, line: Line) -> Node:
    """`region`, or a constant where it holds for no row or for every one."""
    region = Region(region.column, region.spans, region.null and line.nullable)
    if not (region.null or region.spans):
        return FALSE
    whole = region.spans == joined([(line.low, line.high)])
    return TRUE if whole and (region.null or not line.nullable) else region
