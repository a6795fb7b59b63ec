"""The demand board: what strangers see of it, and the desks at which one posts, publishes and answers."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from catalog import demands
from catalog.models import Answer, Demand, Product
from exchange.parties.models import Party, User
from exchange.parties.second_factor import Verified
from fixtures import city
from tests.catalog.test_demands import Board, board  # noqa: F401
from tests.portal.cityscape import visitor
from tests.portal.test_catalog import fits, number_of
from tests.portal.test_desks import logged_in
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401

POSTED = {
    "title_zh": "寻找公交客流", "text_zh": "按小时、按线路。", "contact": "王工 13800000000", "sector": "transport",
}  # fmt: skip


def form_of(board: Board, **more: object) -> dict[str, object]:  # noqa: F811
    until = timezone.localdate() + timedelta(days=9)
    return POSTED | {"party": board.people.buyer.pk, "moderator": board.people.operator.pk, "until": until} | more


def step(user: User | Verified, thing: Demand | Answer, name: str, reason: str = "") -> int:
    url = f"/admin/catalog/{thing._meta.model_name}/{thing.pk}/step/{name}/"
    return logged_in(user).post(url, {"reason": reason}).status_code


# What strangers see


def test_only_what_was_published_is_on_the_board(board: Board) -> None:  # noqa: F811
    made = board.draft()
    for name, who in (("submit", board.buyer), ("publish", board.operator)):
        assert visitor().get(f"/demands/{made.pk}/").status_code == 404
        assert "寻找公交客流" not in visitor().get("/demands/").content.decode()
        made = demands.do_step(made, name, who)
    assert "寻找公交客流" in visitor().get("/demands/").content.decode()
    assert "Bus passengers wanted" in visitor("en").get(f"/demands/{made.pk}/").content.decode()
    demands.do_step(made, "take_down", board.operator, "重复")
    assert visitor().get(f"/demands/{made.pk}/").status_code == 404


def test_no_contact_and_no_proposal_is_shown_to_strangers(board: Board) -> None:  # noqa: F811
    made = board.published()
    answer = board.answered(made, text="秘密方案")
    shown = visitor("en").get(f"/demands/{made.pk}/").content.decode()
    assert "Accepted products" not in shown
    demands.do_decide(answer, "accept", board.buyer)
    shown = visitor("en").get(f"/demands/{made.pk}/").content.decode() + visitor().get("/demands/").content.decode()
    assert "13800000000" not in shown
    assert "秘密方案" not in shown
    assert "/catalog/products/bus_stats/" in shown


def test_markup_in_a_demand_stays_text(board: Board) -> None:  # noqa: F811
    made = board.published(title_zh="<script>alert(1)</script>", text_zh="<img src=x onerror=alert(1)>", title_en="")
    shown = visitor().get(f"/demands/{made.pk}/").content.decode() + visitor().get("/demands/").content.decode()
    assert "<script>" not in shown
    assert "<img" not in shown


def test_the_board_is_paged_and_many_cost_no_more_queries(board: Board) -> None:  # noqa: F811
    made = board.published()
    few = number_of("/demands/"), number_of(f"/demands/{made.pk}/")
    for number in range(21):
        party = Party.objects.create(name_zh=f"甲{number}", credit_code=f"x{number}")
        Demand.objects.create(**POSTED | {"title_zh": f"需求{number}"}, party=party, moderator=party, state="published",
                              published_on=timezone.localdate(), until=timezone.localdate())  # fmt: skip
        merchant = Party.objects.create(name_zh=f"乙{number}", credit_code=f"y{number}")
        Answer.objects.create(demand=made, party=merchant, product=board.product, made_on=timezone.localdate(),
                              state="accepted")  # fmt: skip
    assert visitor().get("/demands/").content.decode().count("<article>") == 20
    assert "寻找公交客流" in visitor().get("/demands/?page=2").content.decode()
    assert visitor().get("/demands/?page=3").status_code == 404
    assert (number_of("/demands/"), number_of(f"/demands/{made.pk}/")) == few
    assert Product.objects.count() == 1


# At the desks


def test_a_buyer_posts_an_operator_publishes_a_merchant_answers_the_buyer_accepts(board: Board) -> None:  # noqa: F811
    assert logged_in(board.buyer).post("/admin/catalog/demand/add/", form_of(board)).status_code == 302
    made = Demand.objects.get()
    assert step(board.buyer, made, "submit") == 302
    assert step(board.operator, made, "publish") == 302
    answer = {"demand": made.pk, "party": board.people.merchant.pk, "product": board.product.pk, "text": ""}
    assert logged_in(board.merchant).post("/admin/catalog/answer/add/", answer).status_code == 302
    assert step(board.buyer, Answer.objects.get(), "accept") == 302
    assert Answer.objects.get().state == "accepted"


def test_what_is_refused_is_told_beside_the_form(board: Board) -> None:  # noqa: F811
    made = board.draft(text_zh="请致电 13800000000")
    answer = logged_in(board.buyer).post(f"/admin/catalog/demand/{made.pk}/step/submit/", {"reason": ""})
    assert "公开内容不得含联系方式" in answer.content.decode()
    made = board.published()
    empty = {"demand": made.pk, "party": board.people.merchant.pk, "product": "", "text": ""}
    refused = logged_in(board.merchant).post("/admin/catalog/answer/add/", empty).content.decode()
    assert "缺少必备材料" in refused
    assert not Answer.objects.exists()


def test_what_others_have_not_published_is_nobodys_to_see_at_a_desk(board: Board) -> None:  # noqa: F811
    draft, withdrawn = board.draft(), demands.do_step(board.draft(), "withdraw", board.buyer)
    submitted = board.submitted()
    for who, seen in ((board.buyer, {draft, withdrawn, submitted}), (board.operator, {submitted}),
                      (board.merchant, set()), (board.stranger, set())):  # fmt: skip
        desk = logged_in(who)
        listed = desk.get("/admin/catalog/demand/").content.decode()
        for each in (draft, withdrawn, submitted):
            assert (f"/{each.pk}/change/" in listed) == (each in seen), who
            status = desk.get(f"/admin/catalog/demand/{each.pk}/change/").status_code
            assert status == (200 if each in seen else 302), who
    offered = logged_in(board.merchant).get("/admin/catalog/answer/add/").content.decode()
    assert str(submitted.pk) not in offered


def test_an_answer_is_for_its_merchant_and_its_poster_only(board: Board) -> None:  # noqa: F811
    answer = board.answered(text="秘密方案")
    for who, seen in ((board.buyer, 200), (board.merchant, 200), (board.operator, 302), (board.stranger, 302)):
        assert logged_in(who).get(f"/admin/catalog/answer/{answer.pk}/change/").status_code == seen
    step(board.stranger, answer, "accept")
    step(board.merchant, answer, "accept")
    assert Answer.objects.get().state == "made"


@pytest.mark.parametrize(("language", "heading"), [("zh-CN", "需求大厅"), ("en", "Demands")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_pages_fit_the_screen(
    board: Board, server: str, page: Callable[..., Page], language: str, heading: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    text = "需要全市公交按线路、按小时的客流统计，用于门店选址。\n请说明更新频率。"
    made = board.published(text_zh=text, text_en="Hourly passengers by line, for choosing sites.", sector="transport")
    demands.do_decide(board.answered(made), "accept", board.buyer)
    hall = page(language, viewport)
    hall.goto(f"{server}/demands/")
    assert hall.get_by_role("heading", name=heading).is_visible()
    assert fits(hall)
    shot(hall, f"demands-{language}-{viewport['width']}")
    hall.locator("article a").click()
    assert fits(hall)
    shot(hall, f"demand-{language}-{viewport['width']}")


@pytest.mark.parametrize(("language", "viewport"), [("zh-CN", DESK), ("en", PHONE)], ids=["desk", "phone"])
def test_a_need_is_posted_at_a_desk_in_a_browser(
    board: Board, server: str, page: Callable[..., Page], language: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    _, password = city.hire(board.people.buyer, "lan")
    desk = page(language, viewport)
    desk.goto(f"{server}/admin/login/?next=/admin/catalog/demand/add/")
    desk.fill("#id_username", "lan")
    desk.fill("#id_password", password)
    desk.click("[type=submit]")
    desk.locator("#id_title_zh").wait_for()
    for name, value in form_of(board).items():
        field = desk.locator(f"#id_{name}")
        field.select_option(str(value)) if name in ("party", "moderator") else field.fill(str(value))
    shot(desk, f"desk-demand-{language}-{viewport['width']}")
    desk.click("[name=_save]")
    desk.locator(".messagelist, #messages, [class*=success], #changelist").first.wait_for()
    assert Demand.objects.get().state == "draft"
    demands.do_step(demands.do_step(Demand.objects.get(), "submit", board.buyer), "publish", board.operator)
    board.answered(Demand.objects.get())
    desk.goto(f"{server}/admin/catalog/answer/{Answer.objects.get().pk}/change/")
    shot(desk, f"desk-answer-{language}-{viewport['width']}")
