"""The catalog for everybody: what is found, what is not, and how often the database is asked."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Page

from catalog import authorizing, registry, search, versions, words
from catalog.models import Entry, Product, Resource
from exchange.parties.models import Party
from fixtures import city
from tests.portal.cityscape import Scape, scape, visitor  # noqa: F401
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401


def found(**asked: str) -> dict[str, object]:
    return visitor().get("/catalog.json", asked).json()


def codes(**asked: str) -> list[str]:
    return [item["code"] for item in found(**asked)["items"]]


# What words find

FOUND = [
    ("航班", {"flights", "flight_delays"}),
    ("航班延误", {"flight_delays"}),
    ("航班统计", {"flight_delays"}),  # 班统 stands in no text: a pair of where two words meet may be missing
    ("空气质量", {"air", "air_quality"}),
    ("air", {"air", "air_quality"}),
    ("FLIGHTS", {"flights", "flight_delays"}),  # a plural, and capitals
    ("ｆｌｉｇｈｔ", {"flights", "flight_delays"}),  # full width
    ("flight delay", {"flight_delays"}),
    ("flight_delays", {"flight_delays"}),
    ("航班 延误", {"flight_delays"}),
    ("按航空公司和月份统计", {"flight_delays"}),  # in the description only
    ("飞碟", set()),
    ("flight weather", set()),  # every word is wanted
    ("%", set()),
    ("'; DROP TABLE catalog_entry; --", set()),
    ("\x00", {"flights", "flight_delays", "air", "air_quality"}),
    ("", {"flights", "flight_delays", "air", "air_quality"}),
]


@pytest.mark.parametrize(("text", "wanted"), FOUND, ids=[repr(text) for text, _ in FOUND])
def test_words_in_both_languages_find_what_they_stand_in(scape: Scape, text: str, wanted: set[str]) -> None:  # noqa: F811
    assert set(codes(q=text)) == wanted


def test_what_has_more_of_the_words_stands_first(scape: Scape) -> None:  # noqa: F811
    scape.resource("zzz", "航班延误统计年报")
    scape.resource("aaa", "航班延误")
    assert codes(q="航班延误统计年报")[0] == "zzz"


def test_among_many_the_same_is_found_and_what_has_all_words_stands_first(
    scape: Scape, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(search, "FEW", 0)
    for text, wanted in FOUND:
        assert set(codes(q=text)) == wanted, text
    scape.resource("zzz", "航班延误统计年报")
    scape.resource("aaa", "航班延误统计快报")
    assert codes(q="航班延误统计年报")[0] == "zzz"
    assert set(codes(q="航班延误统计年报", what="resource")) == {"zzz", "aaa"}


def test_a_renamed_thing_is_found_by_its_new_name_only(scape: Scape) -> None:  # noqa: F811
    draft = Resource(code="berths", name_zh="旧名泊位", holder=scape.people.holder, domain=scape.domain)
    registry.do_create(draft, actor="test")
    draft.name_zh, draft.name_en = "船舶进出港", "Harbour calls"
    registry.do_change(draft, "test", ["name_zh", "name_en"])
    Resource.objects.filter(pk=draft.pk).update(state="registered")
    assert codes(q="船舶进出") == codes(q="harbour call") == ["berths"]
    assert codes(q="旧名泊位") == []


# What is public


def test_what_was_public_before_is_not_found_after(scape: Scape) -> None:  # noqa: F811
    registry.do_transition(scape.flights, "suspended", "test")
    versions.do_product_step(scape.delays, "suspend", city.person(scape.people.merchant), "检查")
    assert set(codes()) == {"air", "air_quality"}
    for path in ("/catalog/resources/flights/", "/catalog/products/flight_delays/"):
        assert visitor().get(path).status_code == 404


def test_drafts_are_nobodys_to_find(scape: Scape) -> None:  # noqa: F811
    draft = Resource(code="secret", name_zh="秘密草稿", holder=scape.people.holder, domain=scape.domain)
    registry.do_create(draft, actor="test")
    made = Product(
        code="secret_product", name_zh="秘密草稿产品", merchant=scape.people.merchant, resource=scape.flights,
        authorization=scape.full, profile="open", merchant_share=0,
    )  # fmt: skip
    registry.do_create(made, actor="test")
    assert Entry.objects.filter(resource=draft).exists()  # it stands in the index, and is not found by it
    assert codes(q="秘密草稿") == []
    assert found()["total"] == 4
    assert "秘密草稿" not in visitor().get("/catalog/resources/flights/").content.decode()
    for path in ("/catalog/resources/secret/", "/catalog/products/secret_product/"):
        assert visitor().get(path).status_code == 404


# Facets


def test_facets_narrow_down_and_count_what_each_choice_would_find(scape: Scape) -> None:  # noqa: F811
    assert found()["facets"]["sector"] == {"environment": 2, "transport": 2}
    narrowed = found(sector="transport")
    assert {item["code"] for item in narrowed["items"]} == {"flights", "flight_delays"}
    assert narrowed["facets"]["what"] == {"product": 1, "resource": 1}
    assert narrowed["facets"]["sector"] == {"environment": 2, "transport": 2}  # its own choice can be changed
    assert codes(mode="sector") == codes(profile="guarded") == codes(use="industry") == ["flight_delays"]
    assert codes(holder=str(scape.people.neighbour.pk), what="resource") == ["air"]
    assert codes(q="航班", what="resource", profile="open") == []


@pytest.mark.parametrize("asked", [
    {"holder": "nobody"}, {"sector": "'"}, {"profile": "x" * 500}, {"page": "99999"},
    {"kind": "aggregate", "what": "resource"},
])  # fmt: skip
def test_a_choice_that_is_none_finds_nothing(scape: Scape, asked: dict[str, str]) -> None:  # noqa: F811
    assert codes(**asked) == []


@pytest.mark.parametrize("number", ["0", "-1", "x", "²", "9" * 30])
def test_a_page_that_is_none_is_the_first(scape: Scape, number: str) -> None:  # noqa: F811
    assert visitor().get("/catalog/", {"page": number}).status_code == 200
    assert len(codes(page=number)) == 4


def test_pages_show_everything_once_and_end(scape: Scape) -> None:  # noqa: F811
    for number in range(41):
        scape.resource(f"bus{number:02}", f"公交{number:02}")
    seen: list[str] = []
    link = "/catalog.json?q=%E5%85%AC%E4%BA%A4"
    while link:
        body = visitor().get(link).json()
        seen += [item["code"] for item in body["items"]]
        link = body["next"]
    assert seen == [f"bus{number:02}" for number in range(41)]
    assert visitor().get("/catalog/?page=4").status_code == 404


def test_the_same_search_has_one_address(scape: Scape) -> None:  # noqa: F811
    body = visitor().get("/catalog/?sector=transport&q=航班&utm=x&what=").content.decode()
    assert '/catalog.json?q=%E8%88%AA%E7%8F%AD&amp;sector=transport"' in body
    assert "utm" not in body.partition("<main>")[2]


def test_markup_in_a_search_and_in_names_stays_text(scape: Scape) -> None:  # noqa: F811
    scape.resource("x", "<script>alert(1)</script>公交")
    body = visitor().get("/catalog/", {"q": "<script>alert(1)</script>", "sector": '"><script>'}).content.decode()
    body += visitor().get("/catalog/", {"q": "公交"}).content.decode()
    assert "<script>" not in body
    assert "&lt;script&gt;alert(1)" in body


# The pages


def test_a_resource_says_what_it_is_and_by_what_right(scape: Scape) -> None:  # noqa: F811
    scape.flights.description_en, scape.flights.frequency, scape.flights.quality_en = (
        "Every flight.",
        "DAILY",
        "Complete.",
    )
    registry.do_change(scape.flights, "test", ["description_en", "frequency", "quality_en"])
    body = visitor("en").get("/catalog/resources/flights/").content.decode()
    for said in ("Flight operations", "Every flight.", "daily", "Complete.", "general", "Haizhou Transport Bureau",
                 "/registrations/", "aircraft", "protected entity", "Transport zone", "Haizhou whole-region",
                 "Flight delay statistics"):  # fmt: skip
        assert said in body, said
    assert "Transport zone" not in visitor("en").get("/catalog/resources/air/").content.decode()


def test_an_excluded_resource_is_under_no_authorization(scape: Scape) -> None:  # noqa: F811
    scape.full.excluded.add(scape.air)
    body = visitor("en").get("/catalog/resources/air/").content.decode()
    assert "Haizhou whole-region" not in body
    assert "Not to be asked now" in visitor("en").get("/catalog/products/air_quality/").content.decode()


def test_a_product_shows_its_chain_and_what_became_of_it(scape: Scape) -> None:  # noqa: F811
    page = visitor("en")  # noqa: F811
    body = page.get("/catalog/products/flight_delays/").content.decode()
    for said in ("Flight operations", "Transport zone", "one sector", str(scape.zone.until), "Yuntu Data", "for a fee",
                 "AA, UA", "only counted, never shown"):  # fmt: skip
        assert said in body, said
    assert "<code>delay</code>" not in body  # a column of the resource that the product does not show
    assert "Not to be asked now" not in body
    authorizing.do_step(scape.zone, "suspend", city.person(scape.people.authority), "检查")
    assert "Not to be asked now" in page.get("/catalog/products/flight_delays/").content.decode()


# How often the database is asked


def number_of(path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert visitor().get(path).status_code == 200
    return len(asked)


PATHS = (
    "/",
    "/catalog/",
    "/catalog/?q=公交",
    "/catalog.json",
    "/catalog/resources/flights/",
    "/authorizations/haizhou-full/",
)


def test_many_rows_cost_no_more_queries_than_few(scape: Scape) -> None:  # noqa: F811
    scape.product("bus_a", "公交产品", scape.resource("bus_b", "公交数据"))
    few = {path: number_of(path) for path in PATHS}
    listed = len(codes())
    for number in range(8):  # each of a holder and a merchant of its own, or the count would be blind
        holder = Party.objects.create(name_zh=f"局{number}", credit_code=f"x{number}")
        resource = scape.resource(f"bus{number}", f"公交数据{number}", holder=holder)
        made = scape.product(f"bus_product{number}", f"公交产品{number}", resource)
        Product.objects.filter(pk=made.pk).update(merchant=holder)
        own = scape.product(f"flight_product{number}", f"公交航班{number}", scape.flights)
        Product.objects.filter(pk=own.pk).update(merchant=holder)
    assert len(codes()) > listed + 10
    assert {path: number_of(path) for path in PATHS} == few


# In a browser


@pytest.mark.parametrize(("language", "button"), [("zh-CN", "搜索"), ("en", "Search")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_visitor_searches_narrows_and_reads_without_scripts(
    scape: Scape, server: str, page: Callable[..., Page], language: str, button: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    for number in range(25):
        scape.resource(f"bus{number:02}", f"公交线路客流{number:02}", description_zh="分线路、分时段的客流。")
    hall = page(language, viewport)
    name = f"{language}-{viewport['width']}"
    hall.goto(server)
    shot(hall, f"home-{name}")
    assert fits(hall)
    hall.get_by_role("searchbox").fill("航班延误")
    hall.get_by_role("button", name=button).click()
    hall.get_by_role("link", name="航班延误统计" if language == "zh-CN" else "Flight delay statistics").click()
    assert fits(hall)
    shot(hall, f"product-{name}")
    hall.goto(f"{server}/catalog/?sector=transport&what=resource")
    assert fits(hall)
    shot(hall, f"catalog-{name}")
    hall.locator("[rel=next]").click()
    assert hall.locator("[rel=prev]").is_visible()
    hall.goto(f"{server}/catalog/resources/flights/")
    assert fits(hall)
    shot(hall, f"resource-{name}")
    assert hall.locator("script").count() == 0


def fits(hall: Page) -> bool:
    """Whether nothing scrolls sideways, every field has a label and there is one heading of the first level."""
    unlabelled = "[...document.querySelectorAll('main input:not([type=hidden])')].filter(i => !i.labels.length).length"
    wide = hall.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    return bool(wide and not hall.evaluate(unlabelled) and hall.locator("h1").count() == 1)


# The pure part


def test_grams_are_pairs_of_chinese_and_words_of_the_rest() -> None:
    assert words.grams("航班延误 Flights2026，PM2.5") == {"航班", "班延", "延误", "flights2026", "pm2", "5"}
    assert words.grams("水") == {"水"}
    assert words.wanted("，。 !") is None
    assert len(words.wanted("数据" * 10 + "".join(chr(0x4E00 + n) for n in range(90))).grams) == words.MOST_GRAMS
