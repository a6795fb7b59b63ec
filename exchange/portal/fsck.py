"""Everything recomputed from what cannot be changed: the log, the ledger, the meters, the nodes' journals.

Each check yields findings; `ok` is false where something does not agree. It changes nothing.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum

from catalog.models import Domain, Product, Version
from catalog.snapshots import node_of, order_for
from exchange.audit import fsck as log_fsck
from exchange.audit import keys
from exchange.audit.models import Record, RecordBody
from exchange.crypto import jws
from exchange.errors import Problem
from exchange.money import BASIS_POINTS, split
from exchange.sandbox.orders import OrderKind
from licensing.models import LicenceMeter, PopulationMeter
from settlement.models import Account, Balance, JoinedProduct, MeteredQuery, Receipt, Transfer, Usage
from settlement.rating import rate, total


@dataclasses.dataclass(frozen=True)
class Finding:
    ok: bool
    text: str


def check() -> Iterator[Finding]:
    """All checks, from the log up to the nodes."""
    for ok, text in log_fsck.check():
        yield Finding(ok, text)
    yield from check_receipts()
    yield from check_ledger()
    yield from check_usage()
    yield from check_meters()
    yield from check_versions()
    for domain in Domain.objects.order_by("code"):
        yield from check_journal(domain)


def summary(name: str, wrong: list[str], right: int) -> Iterator[Finding]:
    for text in wrong:
        yield Finding(False, f"{name}: {text}")
    if not wrong:
        yield Finding(True, f"{name}: {right} agree")


def check_receipts() -> Iterator[Finding]:
    """Every receipt is signed by a key of ours and says what its record says."""
    trusted, wrong, right = keys.public("receipt"), [], 0
    for receipt in Receipt.objects.iterator():
        try:
            said = jws.verify(receipt.jws, trusted, "sluice-receipt+jws")["record"]
        except jws.BadSignature:
            wrong.append(f"{receipt.query_id} is not signed by us")
            continue
        body = RecordBody.objects.filter(record_id=receipt.record).first()
        if body is None or json.loads(body.body) != said:
            wrong.append(f"{receipt.query_id} is not what its record says")
        right += 1
    yield from summary("receipts", wrong, right)


def check_ledger() -> Iterator[Finding]:
    """Wallets equal their transfers; clearing ends at 0; holds are resolved unless uncertain."""
    wrong = []
    for row in Balance.objects.select_related("account"):
        mine = Transfer.objects.filter(Q(debit=row.account) | Q(credit=row.account))
        credits = mine.filter(credit=row.account).aggregate(sum=Sum("amount"))["sum"] or 0
        debits = mine.filter(kind=Transfer.Kind.POST).aggregate(sum=Sum("amount"))["sum"] or 0
        open_holds = mine.filter(kind=Transfer.Kind.HOLD, resolved_by=None).aggregate(sum=Sum("amount"))["sum"] or 0
        if (row.credits, row.debits, row.held) != (credits, debits, open_holds):
            wrong.append(f"wallet {row.account_id} has {row}, its transfers say otherwise")
    for account in Account.objects.filter(kind=Account.Kind.CLEARING):
        posted = Transfer.objects.filter(kind=Transfer.Kind.POST, credit=account).aggregate(sum=Sum("amount"))["sum"]
        shared = Transfer.objects.filter(kind=Transfer.Kind.SHARE, debit=account).aggregate(sum=Sum("amount"))["sum"]
        if (posted or 0) != (shared or 0):
            wrong.append(f"clearing does not end at 0: {posted} in, {shared} out")
    stray = Transfer.objects.filter(kind=Transfer.Kind.HOLD, resolved_by=None).exclude(
        query__state=MeteredQuery.State.RESERVED
    )
    wrong += [f"the hold of query {hold.query_id} is open though the query ended" for hold in stray]
    yield from summary("ledger", wrong, Transfer.objects.count())


def check_usage() -> Iterator[Finding]:
    """Each usage equals its tariff, its post, its shares and its record."""
    wrong, right = [], 0
    rows = Usage.objects.select_related("query", "query__receipt")
    for usage in rows.iterator():
        terms, query = usage.query.terms, usage.query
        amount = total(rate(query.tariff, usage.calls, usage.cells))
        due = {(None, role): part for role, part in split(amount, terms["shares"]).items() if part}
        for row in query.joined.all():
            price = total(rate(row.tariff, calls=1, cells=0))
            due |= {(row.pk, role): part for role, part in split(price, row.terms["shares"]).items() if part}
            amount += price
        posted = query.transfers.filter(kind=Transfer.Kind.POST).aggregate(sum=Sum("amount"))["sum"] or 0
        shared = query.transfers.filter(kind=Transfer.Kind.SHARE).values_list("joined", "role", "amount")
        shares = {(joined, role): part for joined, role, part in shared}
        said = json.loads(RecordBody.objects.get(record_id=query.receipt.record).body)
        if not amount == usage.amount == posted == said["amount"]:
            wrong.append(f"{query.pk}: tariff {amount}, usage {usage.amount}, ledger {posted}, log {said['amount']}")
        if shares != due or sum(terms["shares"].values()) != BASIS_POINTS:
            wrong.append(f"{query.pk}: shares {shares} are not {due}")
        right += 1
    settled = MeteredQuery.objects.filter(state=MeteredQuery.State.SETTLED, usage=None)
    wrong += [f"{query.pk} is settled without usage" for query in settled]
    yield from summary("usage", wrong, right)


def check_meters() -> Iterator[Finding]:
    """Calls counted equal the queries that were not voided, budget spent what all cost, numbers the records."""
    wrong = []
    counted = LicenceMeter.objects.annotate(
        asked=Count("licence__queries", filter=~Q(licence__queries__state=MeteredQuery.State.VOIDED)),
        pseudonym=F("licence__pseudonym"),
    )
    joined = Counter(
        JoinedProduct.objects.exclude(query__state=MeteredQuery.State.VOIDED).values_list("licence_id", flat=True)
    )
    costs: Counter[UUID] = Counter()
    for licence, cost in MeteredQuery.objects.values_list("licence_id", "terms__cost").iterator():
        costs[licence] += cost
    for licence, cost in JoinedProduct.objects.values_list("licence_id", "terms__cost").iterator():
        costs[licence] += cost or 0
    for meter in counted:
        made = meter.asked + joined[meter.pk]
        if meter.calls != made:
            wrong.append(f"licence {meter.pk}: {meter.calls} calls counted, {made} made")
        recorded = Record.objects.filter(licence=meter.pseudonym).count()
        if meter.spent != costs[meter.pk]:
            wrong.append(f"licence {meter.pk}: {meter.spent} of the budget spent, {costs[meter.pk]} asked for")
        if meter.records != recorded:
            wrong.append(f"licence {meter.pk}: {meter.records} records numbered, {recorded} in the log")
    yield from summary("meters", wrong, LicenceMeter.objects.count())


def check_versions() -> Iterator[Finding]:
    """Each product has the terms of its live version, and that has those of the record of its release."""
    wrong, right = [], 0
    bodies = RecordBody.objects.filter(record__kind="version.release").values_list("body", flat=True)
    released = {said["id"]: said["terms"] for said in map(json.loads, bodies)}
    for version in Version.objects.filter(state=Version.State.LIVE).select_related("product__resource", "resource"):
        terms, product = version.terms(), version.product
        if (product.version, product.terms()) != (version.number, terms):
            wrong.append(f"{product.code}: its terms are not those of its live version {version.number}")
        # What was listed before there were versions was never submitted, and has no such record.
        if version.submission and released.get(str(version.pk)) != terms:
            wrong.append(f"{product.code}: version {version.number} is not what its record says was released")
        right += 1
    stray = Product.objects.filter(version__gt=0).exclude(versions__state=Version.State.LIVE)
    wrong += [f"{product.code}: its version {product.version} is not live" for product in stray]
    yield from summary("versions", wrong, right)


def journal_of(domain: Domain) -> Iterator[dict[str, Any]]:
    """Every entry of the node's journal that is of this exchange's orders. Raises Problem."""
    since = 0
    while True:
        order = order_for(domain, OrderKind.JOURNAL, since=since)
        entries = json.loads(node_of(domain).execute(order, keys.current("order")).result)["entries"]
        if not entries:
            return
        yield from (entry for entry in entries if entry["order"])
        since = max(entry["number"] for entry in entries)


def check_journal(domain: Domain) -> Iterator[Finding]:
    """Exchange and node agree on what was ordered and on what each population spent."""
    name = f"journal of {domain.code}"
    try:
        entries = {entry["order"]: entry for entry in journal_of(domain)}
    except Problem as problem:
        yield Finding(False, f"{name}: {problem.code}")
        return
    mine = MeteredQuery.objects.filter(product__resource__domain=domain, stored=False).select_related("release")
    wrong, known = [], set()
    for query in mine.iterator():
        known.add(str(query.pk))
        entry = entries.get(str(query.pk))
        if query.release is not None and (entry is None or entry["outcome"] != query.release.outcome):
            wrong.append(f"query {query.pk} ended as {query.release.outcome} here, {entry and entry['outcome']} there")
    wrong += [f"order {order} was never given" for order in entries.keys() - known]
    for meter in PopulationMeter.objects.filter(domain=domain):
        spent = sum(entry["cost"] for entry in entries.values() if entry["population"] == meter.population)
        # The exchange debits first: it may be ahead by what the node never debited, never behind.
        unsettled = mine.filter(terms__population=meter.population).exclude(state=MeteredQuery.State.SETTLED)
        ahead = sum(query.terms["cost"] for query in unsettled)
        if not spent <= meter.spent <= spent + ahead:
            wrong.append(f"population {meter.population}: {meter.spent} spent here, {spent} there")
    yield from summary(name, wrong, len(entries))
