"""Zones, and what 27号 has published: by the implementing body, and by the operator."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from catalog import authorizing, versions
from catalog.models import Authorization, Product
from exchange.ids import new_id
from fixtures import city
from licensing.models import Licence
from settlement import disclosure
from settlement.models import JoinedProduct, MeteredQuery, Usage
from tests.portal.cityscape import Scape, scape, visitor  # noqa: F401
from tests.portal.test_catalog import fits, number_of
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401


def read(path: str, language: str = "en") -> str:
    answer = visitor(language).get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_who_was_authorized_to_do_what_in_which_scope_for_how_long(scape: Scape) -> None:  # noqa: F811
    body = read("/authorizations/transport-zone/")
    for said in ("Haizhou Data Bureau", "Haizhou Data Group", "one sector", "Transport", "open tender",
                 f"{scape.zone.since}", f"{scape.zone.until}", f"{timezone.localdate()}"):  # fmt: skip
        assert str(said) in body, said
    every = read("/authorizations/")
    assert "Transport zone" in every
    assert "Haizhou whole-region authorization" in every


def test_a_scenario_names_its_grantee_its_words_and_its_list(scape: Scape) -> None:  # noqa: F811
    city.authorize(
        scape.people, "insurance", "scenario", scenario="Travel insurance by delay", grantee=scape.people.merchant,
        listed=[scape.flights], name_en="Insurance",
    )  # fmt: skip
    body = read("/authorizations/insurance/")
    for said in ("Travel insurance by delay", "Yuntu Data", "Flight operations"):
        assert said in body, said


def test_what_was_suspended_stays_published_and_says_so(scape: Scape) -> None:  # noqa: F811
    authorizing.do_step(scape.zone, "suspend", city.person(scape.people.authority), "检查")
    assert "suspended" in read("/authorizations/transport-zone/")
    assert "nothing is answered now" in read("/zones/transport-zone/")
    authorizing.do_step(scape.zone, "end", city.person(scape.people.authority), "退出")
    assert visitor().get("/zones/transport-zone/").status_code == 404
    assert "ended" in read("/authorizations/transport-zone/")


def test_what_was_not_published_is_nobodys_to_see(scape: Scape) -> None:  # noqa: F811
    terms = {"mode": "sector", "sector": "finance", "holder_share": 0, "platform_share": 0}
    days = {"since": scape.zone.since, "until": scape.zone.until}
    draft = Authorization(
        code="draft-zone", name_zh="草案专区", authority=scape.people.authority, operator=scape.people.operator,
        **terms, **days,
    )  # fmt: skip
    authorizing.do_open(draft, city.person(scape.people.authority))
    for path in ("/authorizations/draft-zone/", "/zones/draft-zone/"):
        assert visitor().get(path).status_code == 404
    assert "草案专区" not in read("/authorizations/", "zh-CN") + read("/zones/", "zh-CN")


def test_a_zone_has_its_operator_rules_and_products_and_no_other(scape: Scape) -> None:  # noqa: F811
    body = read("/zones/transport-zone/")
    for said in ("Haizhou Data Group", "1. Statistics only.", "Flight delay statistics"):
        assert said in body, said
    assert "Air quality index" not in body
    assert "一、只作统计。" in read("/zones/transport-zone/", "zh-CN")
    assert visitor().get("/zones/haizhou-full/").status_code == 404  # an authorization, and no zone
    versions.do_product_step(scape.delays, "suspend", city.person(scape.people.merchant), "检查")
    assert "Flight delay statistics" not in read("/zones/transport-zone/")


# How products were used


def use(scape: Scape, product: Product, number: int, month: datetime, joined: Product | None = None) -> None:  # noqa: F811
    """So many settled queries of the product in that month, as the path of a query leaves them."""
    buyer = scape.people.buyer
    licence = Licence.objects.filter(product=product).first() or city.license_to(buyer, product, ["insurance"])
    client = buyer.clients.first() or (city.client_of(buyer) and buyer.clients.first())
    stamp = Usage._meta.get_field("used_at")
    stamp.auto_now_add = False
    try:
        for _ in range(number):
            query = MeteredQuery.objects.create(
                client=client, party=buyer, licence=licence, product=product, idempotency_key=str(new_id()),
                purpose="insurance", query={}, outputs={}, terms={}, snapshot="s", release_key="", order="",
                state="settled", price=0, cells=0, send_again_at=month,
            )  # fmt: skip
            Usage.objects.create(
                query=query, licence=licence, outcome="released", calls=1, cells=0, lines=[], amount=0, currency="CNY",
                used_at=month,
            )  # fmt: skip
            if joined is not None:
                JoinedProduct.objects.create(
                    query=query, product=joined, licence=licence, snapshot="s", terms={}, price=0
                )
    finally:
        stamp.auto_now_add = True


def months_ago(number: int) -> datetime:
    """The middle of a month that is over; 0 is the one that runs."""
    if not number:
        return timezone.now()
    first = disclosure.months(timezone.localdate())[-number]
    return datetime(first.year, first.month, 15, tzinfo=UTC)


def figures(body: str) -> list[str]:
    return [cell.split("</td>")[0].strip() for cell in body.split('<td class="figure">')[1:]]


def test_use_is_published_by_month_without_small_numbers_and_names(scape: Scape) -> None:  # noqa: F811
    use(scape, scape.delays, 12, months_ago(2))
    use(scape, scape.delays, 9, months_ago(1))
    use(scape, scape.delays, 15, months_ago(0))  # the month that runs
    use(scape, scape.quality, 11, months_ago(1), joined=scape.delays)  # asked of another, joined to this one
    body = read("/zones/transport-zone/")
    assert figures(body) == ["&lt; 10", "&lt; 10", "&lt; 10", "&lt; 10", "12", "20"]
    assert "Lanhai" not in body
    assert figures(read("/authorizations/haizhou-full/")) == ["&lt; 10"] * 5 + ["11"]


def test_nothing_and_little_look_the_same(scape: Scape) -> None:  # noqa: F811
    before = figures(read("/zones/transport-zone/"))
    use(scape, scape.delays, 9, months_ago(1))
    assert figures(read("/zones/transport-zone/")) == before == ["&lt; 10"] * 6


def test_a_month_begins_at_midnight_in_shanghai(scape: Scape) -> None:  # noqa: F811
    first = disclosure.months(timezone.localdate())[-1]
    use(scape, scape.delays, 10, datetime(first.year, first.month, 1, tzinfo=timezone.get_current_timezone()))
    assert figures(read("/zones/transport-zone/"))[-2:] == ["&lt; 10", "10"]


def test_many_products_and_authorizations_cost_no_more_queries(scape: Scape) -> None:  # noqa: F811
    paths = ("/authorizations/", "/authorizations/transport-zone/", "/zones/", "/zones/transport-zone/")
    few = {path: number_of(path) for path in paths}
    for number in range(5):
        sector = f"s{number}"
        city.authorize(scape.people, f"zone-{number}", "sector", sector=sector, name_zh=f"专区{number}")
        made = scape.product(f"p{number}", f"产品{number}", scape.flights, authorization=scape.zone)
        use(scape, made, 1, months_ago(1))
    assert "专区4" in read("/zones/", "zh-CN")
    assert "产品4" in read("/zones/transport-zone/", "zh-CN")
    assert {path: number_of(path) for path in paths} == few


@pytest.mark.parametrize(("language", "heading"), [("zh-CN", "交通专区"), ("en", "Transport zone")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_pages_fit_the_screen(
    scape: Scape, server: str, page: Callable[..., Page], language: str, heading: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    use(scape, scape.delays, 12, months_ago(1))
    hall = page(language, viewport)
    for path in ("authorizations", "authorizations/transport-zone", "zones", "zones/transport-zone"):
        hall.goto(f"{server}/{path}/")
        assert hall.get_by_text(heading).first.is_visible()
        assert fits(hall), path
        shot(hall, f"{path.replace('/', '-')}-{language}-{viewport['width']}")
