"""One item, one source: claims and conflicts; and what looks alike when a resource is applied for."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from catalog import alike, duplicates, registration, registry, sources, words
from catalog.alike import Look
from catalog.models import Claim, Column, DataItem, Registration, Resource
from exchange.audit.models import Record
from exchange.errors import Problem
from exchange.parties.models import Notice, Party, User
from fixtures import city
from tests.catalog.test_registration import Kind, Office, code_of, noticed_enough, office  # noqa: F401

COLUMNS = ("carrier", "origin", "distance", "delay")


def with_columns(resource: Resource, *names: str) -> Resource:
    """As its first snapshot would."""
    for position, name in enumerate(names or COLUMNS):
        Column.objects.create(resource=resource, position=position, name=name, kind="integer", role="measure")
    return resource


def another(office: Office, code: str = "other", holder: Party | None = None, **more: str) -> Office:  # noqa: F811
    """The neighbour's resource, and its people."""
    holder = holder or office.people.neighbour
    resource = Resource(code=code, holder=holder, domain=office.resource.domain, **({"name_zh": "起降"} | more))
    registry.do_create(resource, actor="test")
    clerk: User = city.hire(holder, code)[0]
    return OtherOffice(office.people, resource, clerk, office.clerk, office.head, office.stranger)


class OtherOffice(Office):
    """An office of the neighbour's."""

    def draft(self, kind: str = Kind.FIRST, **more: object) -> Registration:
        return super().draft(kind, **{"registrant": self.resource.holder} | more)


@pytest.fixture
def item(office: Office) -> DataItem:  # noqa: F811
    with_columns(office.resource)
    made = DataItem(code="delay", name_zh="延误", registrar=office.people.registrar)
    registry.do_create(made, actor="test")
    return made


def claim(office: Office, item: DataItem, column: str = "delay") -> Claim:  # noqa: F811
    return sources.do_claim(Claim(item=item, resource=office.resource, column=column), office.holder)


def state_of(made: Claim) -> str:
    return Claim.objects.get(pk=made.pk).state


def test_what_nobody_contests_is_upheld_with_the_registration(office: Office, item: DataItem) -> None:  # noqa: F811
    made = claim(office, item)
    assert state_of(made) == "made"
    office.entered()
    assert state_of(made) == "upheld"
    assert sources.with_source(DataItem.objects.all()).get().upheld == "航班"


def test_two_sources_of_one_item_wait_for_the_registrar(office: Office, item: DataItem) -> None:  # noqa: F811
    first, other = claim(office, item), another(office)
    with_columns(other.resource)
    second = claim(other, item)
    assert Notice.objects.filter(party=office.people.holder, kind="claim.contested").exists()
    assert list(sources.contested(DataItem.objects.all())) == [item]
    made = noticed_enough(office.noticed())
    with pytest.raises(Problem, match="delay") as refused:
        registration.do_step(made, "enter", office.head)
    assert refused.value.code == "source_contested"
    assert code_of(sources.do_step, second, "uphold", office.holder, "我们先有") == "step_not_yours"
    assert code_of(sources.do_step, second, "uphold", office.head, " ") == "reason_missing"
    sources.do_step(second, "dismiss", office.head, "航班延误以交通局为准")
    assert registration.do_step(made, "enter", office.head).state == "in_force"
    assert (state_of(first), state_of(second)) == ("upheld", "dismissed")


def test_a_later_decision_replaces_the_source(office: Office, item: DataItem) -> None:  # noqa: F811
    first = claim(office, item)
    office.entered()
    other = another(office)
    with_columns(other.resource)
    second = claim(other, item)
    sources.do_step(second, "uphold", office.head, "职能已移交")
    assert (state_of(first), state_of(second)) == ("replaced", "upheld")
    assert Notice.objects.filter(party=office.people.holder, kind="claim.replaced").exists()


def test_a_change_is_not_held_up_by_a_conflict_and_settles_none(office: Office, item: DataItem) -> None:  # noqa: F811
    office.entered()
    first, other = claim(office, item), another(office)
    with_columns(other.resource)
    second = claim(other, item)
    assert office.entered(kind=Kind.CHANGE, changes={"name_zh": "航班运行"}).state == "in_force"
    assert (state_of(first), state_of(second)) == ("made", "made")


def test_a_resource_without_registration_is_the_source_of_nothing(office: Office, item: DataItem) -> None:  # noqa: F811
    made = claim(office, item)
    registration.do_step(office.entered(), "revoke", office.head, "材料虚假")
    assert state_of(made) == "withdrawn"


def test_a_claim_names_a_column_once(office: Office, item: DataItem) -> None:  # noqa: F811
    assert code_of(claim, office, item, "no_such_column") == "column_unknown"
    claim(office, item)
    assert code_of(claim, office, item, "distance") == "claim_made"
    assert Claim.objects.count() == 1


def test_of_two_claims_upheld_at_once_one_is_the_source(office: Office, item: DataItem) -> None:  # noqa: F811
    first, other = claim(office, item), another(office)
    with_columns(other.resource)
    second = claim(other, item)

    def uphold(made: Claim) -> str:
        try:
            return sources.do_step(made, "uphold", office.head, "确定").state
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(uphold, [first, second])) == ["upheld", "upheld"]
    assert sorted(map(state_of, [first, second])) == ["replaced", "upheld"]


# What looks alike


def test_what_is_registered_already_is_said_with_why(office: Office) -> None:  # noqa: F811
    with_columns(office.resource)
    office.resource.name_zh = "航班运行"
    office.resource.save()
    office.entered()
    same_name = another(office, "named", name_zh="航班运行情况")
    same_columns = another(office, "columned", holder=office.people.holder, name_zh="起降")
    with_columns(same_columns.resource, *COLUMNS[:3], "gate")
    neither = another(office, "neither", holder=office.people.holder, name_zh="水质", name_en="Water")
    assert duplicates.of(same_columns.resource) == [("flights", {"columns": 75})]
    assert duplicates.of(neither.resource) == []
    made = registration.do_step(same_name.draft(), "submit", same_name.holder)
    assert made.alike == {"flights": {"name": 60}}
    assert '"alike":["flights"]' in Record.objects.get(kind="registration.submit", about__thing=made.pk).content.body


def test_anothers_draft_is_not_given_away(office: Office) -> None:  # noqa: F811
    with_columns(office.resource)
    other = another(office, name_zh="航班")
    with_columns(other.resource)
    assert duplicates.of(other.resource) == []


LOOKS = st.builds(
    lambda name, columns: Look("x", words.grams(name), columns),
    st.text(max_size=20), st.frozensets(st.sampled_from("abcdefgh"), max_size=8),
)  # fmt: skip


@given(LOOKS, LOOKS)
def test_looking_alike_is_mutual_and_a_share(one: Look, other: Look) -> None:
    assert alike.why(one, other) == alike.why(other, one)
    assert all(0 <= share <= 100 for share in alike.why(one, other).values())


@given(LOOKS)
def test_whatever_has_a_name_looks_like_itself(look: Look) -> None:
    assert ("name" in alike.why(look, look)) == bool(look.grams)
    assert ("columns" in alike.why(look, look)) == (len(look.columns) >= alike.LEAST_COLUMNS)
