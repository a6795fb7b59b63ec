"""The demand board: who may post, publish, answer and decide, what each step wants, and who is told."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from catalog import demands, machines, versions
from catalog.models import Answer, Demand, Product
from exchange.audit.models import Record
from exchange.errors import Problem
from exchange.parties.models import Accreditation, Membership, Notice, Party, Role, User
from exchange.parties.second_factor import Verified
from fixtures import city
from tests.catalog.test_registration import code_of
from tests.portal.cityscape import offer


@dataclass
class Board:
    """A buyer that looks for something, a merchant with a product, the operator that moderates."""

    people: city.City
    product: Product
    buyer: User
    merchant: User
    operator: Verified
    clerk: User
    stranger: User

    def draft(self, **more: object) -> Demand:
        terms = {
            "title_zh": "寻找公交客流", "title_en": "Bus passengers wanted", "text_zh": "按小时、按线路。",
            "party": self.people.buyer, "moderator": self.people.operator, "contact": "王工 13800000000",
            "until": timezone.localdate() + timedelta(days=30),
        } | more  # fmt: skip
        return demands.do_open(Demand(**terms), self.buyer)

    def submitted(self, **more: object) -> Demand:
        return demands.do_step(self.draft(**more), "submit", self.buyer)

    def published(self, **more: object) -> Demand:
        return demands.do_step(self.submitted(**more), "publish", self.operator)

    def answered(self, demand: Demand | None = None, **more: object) -> Answer:
        terms = {"demand": demand or self.published(), "party": self.people.merchant, "product": self.product} | more
        return demands.do_answer(Answer(**terms), self.merchant)


@pytest.fixture
def board(db: str) -> Board:
    people = city.found_city()
    home = {"node": "n", "url": "grpc://localhost:1", "public_jwk": {}}
    domain = city.join(home, "transport", "交通", "Transport")
    buses = city.register("buses", "公交客流", "Buses", people.holder, domain)
    product = offer(people, "bus_stats", city.authorize(people, "full"), buses, ["carrier"], name_zh="公交客流统计")
    approver = Membership.Duty.APPROVER
    return Board(
        people, product, city.person(people.buyer), city.person(people.merchant),
        city.verified(city.person(people.operator, approver)), city.person(people.operator),
        city.person(people.stranger, approver),
    )  # fmt: skip


def told(party: Party, kind: str) -> list[str]:
    return list(Notice.objects.filter(party=party, kind=f"demand.{kind}").values_list("text_zh", flat=True))


def test_every_state_of_a_machine_has_its_name() -> None:
    assert set(machines.DEMAND.states()) <= set(Demand.State.values)
    assert set(machines.ANSWER.states()) <= set(Answer.State.values)


def test_a_need_is_posted_published_answered_and_met(board: Board) -> None:
    people = board.people
    made = board.published()
    assert (made.state, made.published_on) == ("published", timezone.localdate())
    answer = board.answered(made)
    assert demands.do_decide(answer, "accept", board.buyer).state == "accepted"
    assert demands.do_step(made, "close", board.buyer, "已找到").state == "closed"
    kinds = list(Record.objects.filter(kind__regex="^(demand|answer)").order_by("id").values_list("kind", flat=True))
    assert kinds == [
        "demand.opened", "demand.submit", "demand.publish", "answer.made", "answer.accept", "demand.close"
    ]  # fmt: skip
    assert told(people.operator, "submit")
    assert told(people.buyer, "publish")
    assert told(people.buyer, "answer")
    assert "王工 13800000000" in told(people.merchant, "accept")[0]


def test_the_contact_is_told_to_nobody_else(board: Board) -> None:
    made = board.published()
    demands.do_decide(board.answered(made), "decline", board.buyer, "太贵")
    texts = " ".join(Notice.objects.values_list("text_zh", flat=True)) + " ".join(map(str, Record.objects.values()))
    assert "13800000000" not in texts
    assert "太贵" in told(board.people.merchant, "decline")[0]


# Who may


def test_each_step_is_for_its_party_only(board: Board) -> None:
    made = board.submitted()
    for who in (board.buyer, board.merchant, board.stranger):
        assert code_of(demands.do_step, made, "publish", who) == "step_not_yours"
    assert code_of(demands.do_step, made, "publish", board.clerk) == "step_not_yours"  # has not the duty to approve
    made = demands.do_step(made, "publish", board.operator)
    for who in (board.merchant, board.operator, board.stranger):
        assert code_of(demands.do_step, made, "close", who, "x") == "step_not_yours"
    answer = board.answered(made)
    for who in (board.merchant, board.operator, board.stranger):
        assert code_of(demands.do_decide, answer, "accept", who) == "step_not_yours"
    assert code_of(demands.do_decide, answer, "withdraw", board.buyer) == "step_not_yours"


def test_nobody_publishes_what_they_submitted(board: Board) -> None:
    Accreditation.objects.create(party=board.people.operator, role=Role.BUYER, since=timezone.localdate())
    Membership.objects.create(user=board.operator.user, party=board.people.operator)
    own = Demand(
        title_zh="甲", text_zh="乙", party=board.people.operator, moderator=board.people.operator, contact="c",
        until=timezone.localdate(),
    )  # fmt: skip
    made = demands.do_step(demands.do_open(own, board.operator), "submit", board.operator)
    assert code_of(demands.do_step, made, "publish", board.operator) == "step_own"


def test_a_demand_is_a_buyers_and_its_moderator_an_operator_or_the_platform(board: Board) -> None:
    people = board.people
    for wrong in ({"moderator": people.holder}, {"moderator": people.buyer}):
        with pytest.raises(Problem) as refused:
            board.draft(**wrong)
        assert refused.value.code == "party_not_accredited"
    with pytest.raises(Problem) as refused:
        board.draft(party=people.stranger)  # the person is not of that party
    assert refused.value.code == "not_allowed"
    Accreditation.objects.filter(party=people.buyer).update(until=timezone.localdate() - timedelta(days=1))
    with pytest.raises(Problem) as refused:
        board.draft()
    assert refused.value.code == "party_not_accredited"
    assert not Demand.objects.exists()


# What each step wants

CONTACTS = [
    "请联系 a.b@c.com",
    "电话 138 0000 0000",
    "0532-8888-8888",
    "加微信 13800000000",
    "见 https://x.cn",
    "www.x.cn",
]
HARMLESS = ["2024 至 2026 年，每日 10 万条", "GB/T 43697-2024"]


@pytest.mark.parametrize("text", CONTACTS)
@pytest.mark.parametrize("where", ["title_zh", "title_en", "text_zh", "text_en"])
def test_a_public_text_with_a_contact_is_not_submitted(board: Board, text: str, where: str) -> None:
    made = board.draft(**{where: text})
    assert code_of(demands.do_step, made, "submit", board.buyer) == "contact_in_text"


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_that_are_no_contact_pass(board: Board, text: str) -> None:
    assert board.submitted(text_zh=text).state == "submitted"


def test_refusals_want_their_reasons(board: Board) -> None:
    assert code_of(demands.do_step, board.submitted(), "send_back", board.operator) == "reason_missing"
    made = board.published()
    assert code_of(demands.do_step, made, "take_down", board.operator) == "reason_missing"
    assert code_of(demands.do_decide, board.answered(made), "decline", board.buyer) == "reason_missing"


def test_what_is_past_its_day_is_not_submitted(board: Board) -> None:
    made = board.draft(until=timezone.localdate() - timedelta(days=1))
    assert code_of(demands.do_step, made, "submit", board.buyer) == "field_invalid"


@pytest.mark.parametrize("step", ["draft", "submitted", "closed"])
def test_only_what_is_on_the_board_is_answered(board: Board, step: str) -> None:
    made = {"draft": board.draft, "submitted": board.submitted, "closed": board.published}[step]()
    if step == "closed":
        demands.do_step(made, "close", board.buyer, "已找到")
    assert code_of(board.answered, made) == "step_not_possible"
    assert not Answer.objects.exists()


def test_an_answer_is_a_merchants_with_a_listed_product_of_its_own_or_words(board: Board) -> None:
    made, people = board.published(), board.people
    wrong = [
        ({"product": None, "text": "  "}, "item_missing"),
        ({"party": people.stranger}, "not_allowed"),  # the person is not of that party
        ({"party": people.buyer}, "not_allowed"),
    ]
    for more, code in wrong:
        with pytest.raises(Problem) as refused:
            board.answered(made, **more)
        assert refused.value.code == code, more
    versions.do_product_step(board.product, "suspend", board.merchant, "检查")
    assert code_of(board.answered, made) == "product_not_listed"
    assert board.answered(made, product=None, text="可定制").state == "made"


def test_nobody_answers_their_own_demand_or_with_anothers_product(board: Board) -> None:
    made, buyer = board.published(), board.people.buyer
    Accreditation.objects.create(party=buyer, role=Role.MERCHANT, since=timezone.localdate())
    own = Answer(demand=made, party=buyer, text="自答")
    assert code_of(demands.do_answer, own, board.buyer) == "not_allowed"
    Accreditation.objects.create(party=board.people.stranger, role=Role.MERCHANT, since=timezone.localdate())
    theirs = Answer(demand=made, party=board.people.stranger, product=board.product)
    assert code_of(demands.do_answer, theirs, board.stranger) == "product_not_listed"


def test_a_merchant_has_one_open_answer_and_may_answer_again_after_a_decision(board: Board) -> None:
    made = board.published()
    first = board.answered(made)
    assert code_of(board.answered, made) == "answer_open"
    demands.do_decide(first, "decline", board.buyer, "不合适")
    assert board.answered(made).state == "made"


# What follows


def test_with_a_demand_its_open_answers_leave_the_board(board: Board) -> None:
    made = board.published()
    answer = board.answered(made)
    demands.do_step(made, "take_down", board.operator, "重复")
    answer.refresh_from_db()
    assert answer.state == "lapsed"
    assert told(board.people.merchant, "lapse")
    assert code_of(demands.do_decide, answer, "accept", board.buyer) == "step_not_possible"


def test_what_is_past_its_day_leaves_the_board(board: Board) -> None:
    made, later = board.published(), board.published()
    Demand.objects.filter(pk=made.pk).update(until=timezone.localdate() - timedelta(days=1))
    assert demands.expire() == 1
    assert set(demands.BOARD.values_list("pk", flat=True)) == {later.pk}
    assert demands.expire() == 0


def test_of_two_deciding_at_once_one_is_told_that_it_was_decided(board: Board) -> None:
    answer = board.answered()

    def decide(step: str) -> str:
        try:
            return demands.do_decide(answer, step, board.buyer, "理由").state
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        ends = sorted(pool.map(decide, ("accept", "decline")))
    assert ends in (["accepted", "step_not_possible"], ["declined", "step_not_possible"])


def test_of_two_answers_of_a_merchant_at_once_one_is_kept(board: Board) -> None:
    made = board.published()

    def answer(_number: int) -> str:
        try:
            return board.answered(made).state
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(answer, range(2))) == ["answer_open", "made"]
