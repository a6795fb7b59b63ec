"""The path of one metered query, whole. docs/life-of-a-query.md walks the same steps.

1 authenticate (the view) → 2 parse → 3 decide → 4 reserve → 5 order, release → 6 settle

Two durable transactions, reserve and settle, and none open while the node works. After a crash anywhere the
query is either not reserved, and costs nothing, or reserved, and `finish` brings it to its one end: called by
the client's retry or by the worker, it sends the same order again and the node gives the same release.
"""

import sys

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.snapshots import node_of
from exchange.api.tokens import Caller
from exchange.audit import keys, log, receipts
from exchange.errors import Problem
from exchange.ids import new_id
from exchange.sandbox.client import Answer
from exchange.sandbox.orders import Outcome
from exchange.sandbox.query.faults import Faults
from exchange.statements import Arg, Select, Update, insert
from licensing import meters
from licensing.chain import load_chain
from licensing.decide import Allow, Refuse, Request, decide
from licensing.decide import Usage as History
from settlement import failures, joined, ledger
from settlement.ledger import Due
from settlement.models import JoinedProduct, MeteredQuery, Receipt, StoredRelease, Usage
from settlement.prepared import Ask, Prepared, prepare
from settlement.rating import rate, total
from settlement.rows import facts, new_query

_queries = MeteredQuery.objects.select_related("release", "licence", "product__resource__domain")
_KNOWN = Select(_queries.filter(client=Arg("client"), idempotency_key=Arg("key")))
_QUERY = Select(_queries.filter(pk=Arg("pk")))
_row = MeteredQuery.objects.filter(pk=Arg("pk"))
_LOCKED = Select(_row.only("state").select_for_update())
_END = Update(_row, release=Arg("release"), code=Arg("code"), state=Arg("state"))

FAILURES_IN_A_ROW = 10  # then the licence is suspended: failures are not a free way to probe


def answer(caller: Caller, ask: Ask) -> MeteredQuery:
    """Answer a query: the settled query, its release and receipt. Raises Problem; refusals are logged."""
    query = known(caller, ask)
    if query is None:
        try:
            prepared = prepare(caller.party, ask)  # 2
            sys.audit("sluice.exchange.parsed", ask.idempotency_key)
            check(prepared, ask)  # 3
            sys.audit("sluice.exchange.decided", ask.idempotency_key)
            query = reserve(caller, ask, prepared)  # 4
        except Problem as problem:
            refuse(caller, ask, problem)
            raise
    return finish(query)  # 5, 6


def price(caller: Caller, ask: Ask) -> Prepared:
    """What `ask` would cost at most: steps 2 and 3 alone, nothing counted, held or logged. Raises as `answer`."""
    prepared = prepare(caller.party, ask, only_own=True)
    check(prepared, ask)
    return prepared


def finish(query: MeteredQuery) -> MeteredQuery:
    """Bring a reserved query to its end, and say how it ended. Safe to call again, and at the same time."""
    if query.state == MeteredQuery.State.RESERVED:
        release = query.release or execute(query)  # 5
        sys.audit("sluice.exchange.released", str(query.pk))
        query = settle(query, release)  # 6
        sys.audit("sluice.exchange.settled", str(query.pk))
    if query.code:
        raise Problem(query.code, query=str(query.pk))
    return query


def known(caller: Caller, ask: Ask) -> MeteredQuery | None:
    """The query this client asked under the same key. Raises idempotency_key_reused for another body."""
    query = _KNOWN.first(client=caller.client, key=ask.idempotency_key)
    if query is not None and query.body_digest != ask.body_digest:
        raise Problem("idempotency_key_reused")
    return query


def check(prepared: Prepared, ask: Ask, credit_left: int | None = None) -> None:
    """Raises Problem with the first refusal that applies, of any product that is named."""
    if credit_left is None:
        credit_left = ledger.credit_left(prepared.party)
    faults = Faults()
    for chain in prepared.chains:  # the product asked, then those joined to it
        cost = prepared.cost if chain.policy.get("budget") else 0  # of the one population, from each licence's share
        request = Request(ask.purpose, timezone.localdate(), prepared.price, prepared.stored is None, cost)
        history = History(chain.calls, chain.population_left, credit_left, chain.spent)
        match decide(chain.offer, chain.terms, request, history):
            case Refuse(code, reason):
                whose = "" if chain is prepared.chain else chain.product.code
                faults.add(code, f"{whose} {reason}".strip())
            case Allow():
                continue
    faults.settle()


def reserve(caller: Caller, ask: Ask, prepared: Prepared) -> MeteredQuery:
    """Transaction 1: idempotency key, quota, population, money and log record, all or nothing, on disk."""
    query = new_query(caller, ask, prepared)
    try:
        with transaction.atomic(durable=True):
            licence = prepared.licence
            meter, *others = meters.lock_all(prepared.licences)
            chain = load_chain(caller.party, ask.product, ask.purpose, licence.pk, prepared.named, ask.review)
            check(prepared.under(chain), ask, credit_left=prepared.price)  # the hold itself asks the wallet
            number = meters.do_count_call(meter)
            rows = joined.new_rows(query, prepared)
            insert(query, *rows)
            policy = chain.resource.snapshot.policy
            if prepared.stored is None and policy["budget"]:
                meters.do_spend(meter, chain.resource.domain, policy["population"], policy["budget"], prepared.cost)
            ledger.do_hold(query, query.price)
            log.append("query.reserved", facts(query, rows), licence=licence.pseudonym, seq=number)
            joined.do_count(rows, others)
    except IntegrityError:
        winner = known(caller, ask)  # the same key at the same time: one of the two was reserved
        if winner is None:
            raise
        return winner
    sys.audit("sluice.exchange.reserved", str(query.pk))
    return query


def execute(query: MeteredQuery) -> StoredRelease:
    """Send the order, again if need be, and keep what the node signed (not yet saved).

    Raises Problem node_unreachable or node_untrusted: nothing is decided, the hold stays.
    """
    sys.audit("sluice.exchange.ordered", str(query.pk))
    try:
        found: Answer = node_of(query.product.resource.domain).send(query.order)
    except Problem as problem:
        uncertain(query, problem)
        raise Problem(problem.code, problem.detail, problem.hint, query=str(query.pk)) from problem
    release = found.release
    return StoredRelease(
        id=new_id(),
        key=query.release_key,
        outcome=release.outcome,
        code=release.code,
        jws=found.release_jws,
        result=found.result,
        result_digest=release.result,
        cells=release.cells,
        suppressed=release.suppressed,
        journal=release.journal,
        domain_id=query.product.resource.domain_id,
        population=release.population,
        spent=release.spent,
    )


def settle(query: MeteredQuery, release: StoredRelease) -> MeteredQuery:
    """Transaction 2: usage, money, receipt and log record, all or nothing; once, whoever is first."""
    with transaction.atomic(durable=True):
        if _LOCKED.get(pk=query.pk).state != MeteredQuery.State.RESERVED:
            return _QUERY.get(pk=query.pk)  # as whoever was first left it
        rows = joined.of(query)
        meter, *others = meters.lock_all([query.licence, *(row.licence for row in rows)])
        if release.pk != query.release_id:
            insert(release)
        query.release, query.code = release, release.code
        voided = release.outcome == Outcome.NOT_EXECUTED
        failed = release.outcome == Outcome.FAILED
        query.state = MeteredQuery.State.VOIDED if voided else MeteredQuery.State.SETTLED
        _END.run(pk=query.pk, release=release.pk, code=query.code, state=query.state)
        number = meters.do_number_record(meter, give_back=voided, failed=failed if not query.stored else None)
        if voided:
            ledger.do_void(query)
            log.append("query.voided", facts(query, rows), licence=query.licence.pseudonym, seq=number)
        else:
            charge(query, release, rows, number)
        joined.do_end(rows, others, voided)
    if meter.failures >= FAILURES_IN_A_ROW:
        failures.do_suspend(query.licence)
    return query


def charge(query: MeteredQuery, release: StoredRelease, rows: list[JoinedProduct], number: int) -> None:
    """Usage, post, shares, receipt. A failed query costs what it held: a cost must not depend on data."""
    cells = query.cells if release.outcome == Outcome.FAILED else release.cells
    lines = rate(query.tariff, calls=1, cells=cells)
    dues = [Due(total(lines), query.terms), *(Due(joined.amount(row), row.terms, row) for row in rows)]
    amount = sum(due.amount for due in dues)
    ledger.do_post(query, dues)
    priced = [line.to_json() for line in lines] + joined.lines_of(rows)
    usage = Usage(
        query=query, licence=query.licence, outcome=release.outcome, calls=1, cells=cells, lines=priced,
        amount=amount, currency=ledger.CURRENCY,
    )  # fmt: skip
    body = facts(query, rows) | {"outcome": release.outcome, "lines": priced, "amount": amount}
    body |= {"shares": dues[0].parts} | joined.shares_of(dues[1:])
    body |= {"currency": ledger.CURRENCY, "cells": cells, "suppressed": release.suppressed}
    body |= {"result": release.result_digest, "stored": query.stored}
    record = log.append("query.settled", body, licence=query.licence.pseudonym, seq=number)
    jws = receipts.sign(record, keys.current("receipt"), settings.SLUICE.origin)
    insert(usage, Receipt(query=query, record=record.pk, jws=jws))


def refuse(caller: Caller, ask: Ask, problem: Problem) -> None:
    """Log a refused query, numbered within its licence where there is one. A refusal costs nothing."""
    with transaction.atomic(durable=True):
        licence = ask.licence_of(caller.party)
        number = meters.do_number_record(meters.lock(licence)) if licence else None
        body = {"v": 1, "code": problem.code, "party": str(caller.party), "client": str(caller.client)}
        body |= {"product": ask.product, "purpose": ask.purpose, "asked": ask.body_digest}
        body |= {"joined": list(ask.joined)} if ask.joined else {}
        log.append("query.refused", body, licence=licence.pseudonym if licence else None, seq=number)


def uncertain(query: MeteredQuery, problem: Problem) -> None:
    """Log that the node gave no answer one can believe; the hold stays and the worker asks again."""
    with transaction.atomic(durable=True):
        number = meters.do_number_record(meters.lock(query.licence))
        body = facts(query, joined.of(query)) | {"code": problem.code}
        log.append("query.uncertain", body, licence=query.licence.pseudonym, seq=number)
