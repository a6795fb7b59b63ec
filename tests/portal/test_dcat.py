"""The catalog as DCAT 3: what a harvester reads, by a library that nobody here wrote."""

from xml.etree import ElementTree

import pytest
from rdflib import DCAT, DCTERMS, RDF, Graph, Literal, Namespace, URIRef
from rdflib.compare import isomorphic
from rdflib.namespace import FOAF, SKOS

from catalog import registry, versions
from exchange.portal import dcat
from fixtures import city
from tests.portal.cityscape import Scape, scape, visitor  # noqa: F401
from tests.portal.test_catalog import number_of

HYDRA = Namespace("http://www.w3.org/ns/hydra/core#")
HOSTILE = '"""\\ <script> \t\r\n\x01\x7f 公交 " . <http://x> a <y>'


def graph(form: str, query: str = "") -> Graph:
    """A document, parsed; rdflib knows the formats as turtle and json-ld."""
    answer = visitor().get(f"/dcat.{form}{query}")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith(dcat.TYPES[form])
    return Graph().parse(data=answer.content, format={"ttl": "turtle", "jsonld": "json-ld"}[form])


def without_views(found: Graph) -> Graph:
    """Less the links between pages, which name their own format."""
    return Graph().parse(data=_kept(found).serialize(format="nt"), format="nt")


def _kept(found: Graph) -> Graph:
    kept = Graph()
    for triple in found:
        if not any(str(part).startswith(str(HYDRA)) or "/dcat." in str(part) for part in triple):
            kept.add(triple)
    return kept


def test_both_formats_say_the_same(scape: Scape) -> None:  # noqa: F811
    scape.resource("nasty", HOSTILE.replace("\n", " "), description_zh=HOSTILE, sector="x y/<z>")
    turtle, json_ld = without_views(graph("ttl")), without_views(graph("jsonld"))
    assert len(turtle) > 60
    assert isomorphic(turtle, json_ld)
    assert Literal(HOSTILE, lang="zh") in set(turtle.objects(predicate=DCTERMS.description))


def test_what_dcat_wants_is_there(scape: Scape) -> None:  # noqa: F811
    """The mandatory properties of DCAT-AP 3, on things that have a description and on those that have none."""
    found = graph("ttl")
    wanted = {
        DCAT.Catalog: (DCTERMS.title, DCTERMS.description, DCTERMS.publisher),
        DCAT.Dataset: (DCTERMS.title, DCTERMS.description),
        DCAT.DataService: (DCTERMS.title, DCAT.endpointURL),
        FOAF.Agent: (FOAF.name,),
        SKOS.Concept: (SKOS.prefLabel,),
        SKOS.ConceptScheme: (DCTERMS.title,),
    }
    for kind, properties in wanted.items():
        things = set(found.subjects(RDF.type, kind))
        assert things, kind
        for thing in things:
            assert [each for each in properties if found.value(thing, each) is None] == [], thing
    assert len(set(found.subjects(RDF.type, DCAT.Dataset))) == len(set(found.subjects(RDF.type, DCAT.DataService))) == 2


def test_a_resource_and_its_product_name_each_other_and_their_parties(scape: Scape) -> None:  # noqa: F811
    scape.flights.frequency = "DAILY"
    registry.do_change(scape.flights, "test", ["frequency"])
    found = graph("jsonld")
    flights = URIRef("http://localhost/catalog/resources/flights/#it")
    delays = URIRef("http://localhost/catalog/products/flight_delays/#it")
    assert found.value(delays, DCAT.servesDataset) == flights
    assert found.value(delays, DCAT.endpointURL) == URIRef("http://localhost/v1/queries")
    frequency = URIRef("http://publications.europa.eu/resource/authority/frequency/DAILY")
    assert found.value(flights, DCTERMS.accrualPeriodicity) == frequency
    holder = found.value(flights, DCTERMS.publisher)
    assert Literal("海州市交通运输局", lang="zh") in set(found.objects(holder, FOAF.name))
    assert Literal("交通运输", lang="zh") in set(found.objects(found.value(flights, DCAT.theme), SKOS.prefLabel))
    catalogs = set(found.subjects(DCAT.dataset, flights)) | set(found.subjects(DCAT.service, delays))
    assert catalogs == {URIRef("http://localhost/dcat")}


def test_what_is_not_public_is_not_harvested(scape: Scape) -> None:  # noqa: F811
    registry.do_transition(scape.flights, "suspended", "test")
    versions.do_product_step(scape.quality, "delist", city.person(scape.people.merchant), "停售")
    found = graph("ttl")
    assert set(found.subjects(RDF.type, DCAT.Dataset)) == {URIRef("http://localhost/catalog/resources/air/#it")}
    services = set(found.subjects(RDF.type, DCAT.DataService))
    assert services == {URIRef("http://localhost/catalog/products/flight_delays/#it")}
    assert "flights/#it" not in visitor().get("/dcat.ttl").content.decode()


def test_pages_hold_everything_once(scape: Scape, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(dcat, "PAGE", 3)
    whole, link, seen = Graph(), URIRef("http://localhost/dcat.ttl"), []
    while link is not None:
        part = graph("ttl", str(link).partition(".ttl")[2])
        seen += [*part.subjects(RDF.type, DCAT.Dataset), *part.subjects(RDF.type, DCAT.DataService)]
        whole += part
        link = part.value(link, HYDRA.next)
    assert len(seen) == len(set(seen)) == 4
    assert int(whole.value(URIRef("http://localhost/dcat"), HYDRA.totalItems)) == 4
    assert visitor().get("/dcat.ttl?page=3").status_code == 404


@pytest.mark.parametrize(("accept", "wanted"), [
    ("text/turtle", "text/turtle"), ("application/ld+json", "application/ld+json"), ("*/*", "application/ld+json"),
    ("application/ld+json;q=0.4, text/turtle;q=0.9", "text/turtle"), ("text/html, */*;q=0.1", "application/ld+json"),
])  # fmt: skip
def test_one_address_speaks_what_the_caller_prefers(scape: Scape, accept: str, wanted: str) -> None:  # noqa: F811
    answer = visitor().get("/dcat", headers={"accept": accept})
    assert answer["Content-Type"].startswith(wanted)
    assert "Accept" in answer["Vary"].split(", ")
    assert visitor().get(answer["Content-Location"].removeprefix("http://localhost")).content == answer.content


def test_what_is_not_offered_is_refused_by_name(scape: Scape) -> None:  # noqa: F811
    answer = visitor().get("/dcat", headers={"accept": "application/pdf"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_many_things_cost_no_more_queries(scape: Scape) -> None:  # noqa: F811
    few = number_of("/dcat.ttl")
    for number in range(6):
        scape.product(f"p{number}", f"产品{number}", scape.resource(f"r{number}", f"数据{number}", sector=f"s{number}"))
    assert "/p5/#it" in visitor().get("/dcat.ttl").content.decode()
    assert number_of("/dcat.ttl") == few


# What search engines are told


def test_the_sitemap_names_every_public_page_and_each_answers(scape: Scape) -> None:  # noqa: F811
    hidden = scape.resource("hidden", "停用数据")
    registry.do_transition(hidden, "suspended", "test")
    parts = locations("/sitemap.xml")
    pages = [page for part in parts for page in locations(part)]
    for path in ("/", "/catalog/", "/catalog/resources/flights/", "/catalog/products/air_quality/",
                 "/zones/transport-zone/", "/authorizations/haizhou-full/"):  # fmt: skip
        assert f"http://localhost{path}" in pages, path
    assert not any("hidden" in page for page in pages)
    assert {visitor().get(page.removeprefix("http://localhost")).status_code for page in pages} == {200}


def locations(url: str) -> list[str]:
    answer = visitor().get(url.removeprefix("http://localhost"))
    assert answer.status_code == 200
    return [str(each.text) for each in ElementTree.fromstring(answer.content).iter() if each.tag.endswith("}loc")]


def test_robots_are_kept_from_desks_and_endless_searches(scape: Scape) -> None:  # noqa: F811
    body = visitor().get("/robots.txt").content.decode()
    assert "Disallow: /admin/" in body
    assert "Disallow: /catalog/?" in body
    assert "Sitemap: http://localhost/sitemap.xml" in body
