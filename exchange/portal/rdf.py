"""A small writer of RDF: the same statements as Turtle and as JSON-LD. Knows no request and no model.

Statements are data, so that both serializations say the same by construction; tests parse both and compare the graphs.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PREFIXES = {
    "dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/",
    "skos": "http://www.w3.org/2004/02/skos/core#", "hydra": "http://www.w3.org/ns/hydra/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}  # fmt: skip
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NO_IRI = re.compile(r"[\x00-\x20<>\"{}|^`\\]")


@dataclass(frozen=True, slots=True)
class Ref:
    """An IRI. Raises ValueError where it could not stand in a document."""

    iri: str

    def __post_init__(self) -> None:
        if _NO_IRI.search(self.iri):
            raise ValueError("no IRI")


@dataclass(frozen=True, slots=True)
class Text:
    """A literal, with a language or a data type of xsd; a plain string where it has neither."""

    text: str
    language: str = ""
    kind: str = ""


Value = Ref | Text


@dataclass(frozen=True, slots=True)
class Node:
    """One subject: its IRI, its type, and its statements by predicate; types and predicates as prefix:name."""

    iri: str
    kind: str
    said: Mapping[str, Iterable[Value]]


def turtle(nodes: Iterable[Node]) -> str:
    """The statements as Turtle."""
    parts = [f"@prefix {prefix}: <{iri}> ." for prefix, iri in PREFIXES.items()]
    for node in nodes:
        lines = [f"<{Ref(node.iri).iri}> a {node.kind}"]
        lines += [f"    {name} {', '.join(map(_turtle, values))}" for name, values in _statements(node)]
        parts.append(" ;\n".join(lines) + " .")
    return "\n\n".join(parts) + "\n"


def json_ld(nodes: Iterable[Node]) -> str:
    """The statements as JSON-LD, with its context inside."""
    graph = [
        {"@id": Ref(node.iri).iri, "@type": node.kind}
        | {name: [_json(value) for value in values] for name, values in _statements(node)}
        for node in nodes
    ]
    return json.dumps({"@context": PREFIXES, "@graph": graph}, ensure_ascii=False)


def _statements(node: Node) -> Iterable[tuple[str, list[Value]]]:
    """Those that say something, each once."""
    for name, values in node.said.items():
        if found := list(dict.fromkeys(values)):
            yield name, found


def _turtle(value: Value) -> str:
    if isinstance(value, Ref):
        return f"<{value.iri}>"
    text = "".join(
        _ESCAPES.get(sign, sign if sign >= " " and sign != "\x7f" else f"\\u{ord(sign):04X}") for sign in value.text
    )
    return f'"{text}"' + (f"@{value.language}" if value.language else f"^^xsd:{value.kind}" if value.kind else "")


def _json(value: Value) -> dict[str, Any]:
    if isinstance(value, Ref):
        return {"@id": value.iri}
    extra = {"@language": value.language} if value.language else {"@type": f"xsd:{value.kind}"} if value.kind else {}
    return {"@value": value.text} | extra
