"""Statements compiled once say what the ORM says, on either database."""

import threading
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, Exists, F, OuterRef
from django.db.transaction import TransactionManagementError

from catalog.models import Authorization, Product
from exchange.parties.models import Party
from exchange.statements import Arg, Select, Update, insert
from licensing.models import Licence, LicenceMeter
from settlement.models import Account, Balance
from tests.market import Market


def values_of(instance: object) -> dict[str, object]:
    return {name: value for name, value in vars(instance).items() if name != "_state"}


def test_a_row_is_the_instance_that_the_orm_makes(market: Market) -> None:
    """With its relations, JSON, dates, UUIDs and annotations; and without a query more."""
    listed = Authorization.listed.through.objects.filter(resource=OuterRef("resource"))
    queries = Product.objects.select_related("authorization", "resource__domain").annotate(on_a_list=Exists(listed))
    mine = Select(queries.filter(code=Arg("code"))).get(code=market.guarded.code)
    theirs = queries.get(code=market.guarded.code)
    for path in ((), ("authorization",), ("resource",), ("resource", "domain")):
        ours, orms = mine, theirs
        for name in path:
            assert name in ours._state.fields_cache
            ours, orms = getattr(ours, name), getattr(orms, name)
        assert values_of(ours) == values_of(orms)


def test_a_deferred_field_is_read_when_it_is_asked_for(market: Market) -> None:
    licence = Select(Licence.objects.only("state").filter(pk=Arg("pk"))).get(pk=market.licence.pk)
    assert licence.get_deferred_fields() >= {"purposes", "quota"}
    assert licence.quota == market.licence.quota


def test_values_are_tuples(market: Market) -> None:
    rows = Select(Licence.objects.filter(buyer=Arg("buyer")).order_by("id").values_list("pk", "purposes", "since"))
    licences = sorted((market.licence, market.open_licence), key=lambda licence: licence.pk)
    assert rows.all(buyer=market.people.buyer.pk) == [(each.pk, each.purposes, each.since) for each in licences]
    assert rows.all(buyer=uuid4()) == []


def test_the_second_use_asks_for_its_own_values(market: Market) -> None:
    party = Select(Party.objects.filter(pk=Arg("pk")))
    for wanted in (market.people.buyer, market.people.holder, market.people.buyer):
        assert party.get(pk=wanted.pk) == wanted
    assert party.first(pk=uuid4()) is None
    with pytest.raises(Party.DoesNotExist):
        party.get(pk=uuid4())
    with pytest.raises(KeyError):
        party.all(id=uuid4())


def test_an_update_says_how_many_rows_met_its_condition(market: Market) -> None:
    wallet = Balance.objects.filter(account=Arg("account"))
    amount = Arg("amount", BigIntegerField())
    hold = Update(wallet.filter(credits__gte=F("debits") + F("held") + amount), held=F("held") + amount)
    before = Balance.objects.get()
    assert hold.run(account=before.pk, amount=7) == 1
    assert hold.run(account=before.pk, amount=before.credits) == 0
    assert Balance.objects.get().held == before.held + 7


def test_a_lock_is_asked_for_inside_a_transaction_only(market: Market) -> None:
    locked = Select(LicenceMeter.objects.select_for_update().filter(pk=Arg("pk")))
    with transaction.atomic():
        assert locked.get(pk=market.licence.pk) == market.licence.meter
    with pytest.raises(TransactionManagementError):
        locked.get(pk=market.licence.pk)


def test_all_threads_share_a_statement_and_none_a_connection(market: Market) -> None:
    party = Select(Party.objects.filter(pk=Arg("pk")))
    found: list[Party] = []
    people = [market.people.buyer, market.people.holder, market.people.operator] * 4
    threads = [threading.Thread(target=lambda p=p: found.append(party.get(pk=p.pk))) for p in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(p.pk for p in found) == sorted(p.pk for p in people)


def test_what_is_inserted_stands_as_the_orm_saves_it(market: Market) -> None:
    mine = Account(party=market.people.stranger, kind=Account.Kind.INCOME)
    with transaction.atomic():
        insert(mine, Balance(account=mine, credits=5))
    assert values_of(Account.objects.get(pk=mine.pk)) == values_of(mine)
    assert Balance.objects.get(pk=mine.pk).credits == 5
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Account(party=market.people.stranger, kind=Account.Kind.INCOME))
