"""The catalog for harvesters: DCAT 3, as JSON-LD and as Turtle, by pages. No login.

A resource is a dcat:Dataset without distributions, for its rows do not leave their domain; a product is the
dcat:DataService that answers questions about it. What DCAT-AP 3 has for mandatory is always there.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from catalog import search
from catalog.models import Product, Resource
from exchange.api.problems import respond
from exchange.errors import Problem
from exchange.parties.models import Named, Party
from exchange.portal import directory, labels
from exchange.portal.rdf import Node, Ref, Text, Value, json_ld, turtle

PAGE = 100  # resources and products in a document
TYPES = {"jsonld": "application/ld+json", "ttl": "text/turtle"}
_AUTHORITY = "http://publications.europa.eu/resource/authority"
_RESTRICTED = Ref(f"{_AUTHORITY}/access-right/RESTRICTED")  # asked by licence; nobody downloads rows
_TITLE = (Text("公共数据资源与产品目录", "zh"), Text("Catalog of public data resources and products", "en"))
_ABOUT = (
    Text("已登记的公共数据资源和已上架的数据产品。原始数据不出域。", "zh"),
    Text("Registered public data resources and listed data products. Raw data do not leave their domain.", "en"),
)


def negotiated(request: HttpRequest) -> HttpResponse:
    """GET /dcat: in the format that the caller prefers; 406 where it is neither."""
    found = request.get_preferred_type(list(TYPES.values()))
    if found is None:
        response = respond(Problem("not_acceptable", hint=", ".join(TYPES.values())), request)
    else:
        form = next(form for form, media_type in TYPES.items() if media_type == found)
        response = document(request, form)
        response["Content-Location"] = _page(request, form, _asked(request))
    response["Vary"] = "Accept"
    return response


def document(request: HttpRequest, form: str) -> HttpResponse:
    """GET /dcat.jsonld, /dcat.ttl: a page of the catalog."""
    number = _asked(request)
    total, things = search.public(number, PAGE)
    if not things and number > 1:
        return respond(Problem("not_found"), request)
    nodes = list(_nodes(request, form, number, total, things))
    text = turtle(nodes) if form == "ttl" else json_ld(nodes)
    return HttpResponse(text, content_type=f"{TYPES[form]}; charset=utf-8")


def _nodes(
    request: HttpRequest, form: str, number: int, total: int, things: list[Resource | Product]
) -> Iterator[Node]:
    """The catalog with what is on this page, each thing, and the parties and sectors that they name."""
    site = request.build_absolute_uri("/")
    resources = [each for each in things if isinstance(each, Resource)]
    products = [each for each in things if isinstance(each, Product)]
    yield Node(f"{site}dcat", "dcat:Catalog", {
        "dct:title": _TITLE, "dct:description": _ABOUT, "dct:publisher": [Ref(f"{site}#exchange")],
        "foaf:homepage": [Ref(site)], "dcat:themeTaxonomy": [Ref(f"{site}catalog/#sectors")],
        "dct:language": [Ref(f"{_AUTHORITY}/language/{code}") for code in ("ZHO", "ENG")],
        "dcat:dataset": [_ref(site, each) for each in resources],
        "dcat:service": [_ref(site, each) for each in products],
        "hydra:totalItems": [Text(str(total), kind="integer")], "hydra:view": [Ref(_page(request, form, number))],
    })  # fmt: skip
    yield _view(request, form, number, total)
    yield Node(
        f"{site}#exchange", "foaf:Agent", {"foaf:name": [Text("Sluice · 公共数据授权运营", "zh"), Text("Sluice", "en")]}
    )
    yield Node(
        f"{site}catalog/#sectors", "skos:ConceptScheme", {"dct:title": [Text("领域", "zh"), Text("Sectors", "en")]}
    )
    yield from (_dataset(site, each) for each in resources)
    yield from (_service(site, each) for each in products)
    parties = {each.holder for each in resources} | {each.merchant for each in products}
    yield from (_agent(site, party) for party in sorted(parties, key=lambda party: party.pk))
    yield from (_sector(site, code) for code in sorted({each.sector for each in resources if each.sector}))


def _view(request: HttpRequest, form: str, number: int, total: int) -> Node:
    last = max(-(-total // PAGE), 1)
    at = {"first": 1, "last": last} | ({"previous": number - 1} if number > 1 else {})
    at |= {"next": number + 1} if number < last else {}
    said = {f"hydra:{name}": [Ref(_page(request, form, page))] for name, page in at.items()}
    return Node(_page(request, form, number), "hydra:PartialCollectionView", said)


def _dataset(site: str, found: Resource) -> Node:
    frequency = [Ref(f"{_AUTHORITY}/frequency/{found.frequency}")] if found.frequency else []
    taken = [Text(found.snapshot.known_since.isoformat(), kind="dateTime")] if found.snapshot else []
    return Node(_ref(site, found).iri, "dcat:Dataset", _common(site, found) | {
        "dct:publisher": [_of(site, found.holder)], "dcat:theme": [_theme(site, found.sector)] if found.sector else [],
        "dct:accrualPeriodicity": frequency, "dct:modified": taken,
    })  # fmt: skip


def _service(site: str, found: Product) -> Node:
    above = found.resource
    public = above.state == Resource.State.REGISTERED
    endpoint = site + reverse("queries")[1:]
    return Node(_ref(site, found).iri, "dcat:DataService", _common(site, found) | {
        "dct:publisher": [_of(site, found.merchant)], "dcat:endpointURL": [Ref(endpoint)],
        "dcat:endpointDescription": [Ref(site + reverse("schema")[1:])],
        "dcat:servesDataset": [_ref(site, above)] if public else [],
        "dcat:theme": [_theme(site, above.sector)] if public and above.sector else [],
    })  # fmt: skip


def _common(site: str, found: Resource | Product) -> dict[str, Iterable[Value]]:
    """A thing without a description is described by its name."""
    said = _texts(found.description_zh, found.description_en) or _texts(found.name_zh, found.name_en)
    return {
        "dct:title": _texts(found.name_zh, found.name_en), "dct:description": said,
        "dct:identifier": [Text(found.code)], "dcat:landingPage": [Ref(site + directory.address(found)[1:])],
        "dct:accessRights": [_RESTRICTED],
    }  # fmt: skip


def _agent(site: str, party: Party) -> Node:
    said = {"foaf:name": _texts(party.name_zh, party.name_en), "dct:identifier": [Text(party.credit_code)]}
    return Node(_of(site, party).iri, "foaf:Agent", said)


def _sector(site: str, code: str) -> Node:
    names = labels.SECTORS.get(code, (code, ""))
    said: dict[str, Any] = {"skos:prefLabel": _texts(*names), "skos:inScheme": [Ref(f"{site}catalog/#sectors")]}
    return Node(_theme(site, code).iri, "skos:Concept", said)


def _texts(zh: str, en: str) -> list[Text]:
    return [Text(text, language) for text, language in ((zh, "zh"), (en, "en")) if text]


def _ref(site: str, found: Resource | Product) -> Ref:
    """What a thing is called: its page, less the page's own being."""
    return Ref(site + directory.address(found)[1:] + "#it")


def _of(site: str, party: Named) -> Ref:
    return Ref(f"{site}catalog/#party-{party.pk}")


def _theme(site: str, code: str) -> Ref:
    return Ref(site + directory.url(search.Query(), sector=code)[1:])


def _asked(request: HttpRequest) -> int:
    return directory.asked(request.GET).page


def _page(request: HttpRequest, form: str, number: int) -> str:
    path = reverse("dcat-document", args=[form])
    return request.build_absolute_uri(path + (f"?page={number}" if number > 1 else ""))
