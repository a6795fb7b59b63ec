"""Sample answers of a delivery review: a few standard questions, asked by the path that any query takes.

The reviewer's party gets a licence for the review of one version whose price is nothing; what the questions cost in
privacy is debited from the population's budget, for good. Its questions are those of `catalog.offering.standard`:
nobody asks anything else under it, and the API does not know it.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from catalog import offering
from catalog.models import Product, Sample, Version
from catalog.snapshots import manifest_of
from exchange.api.tokens import Caller
from exchange.crypto.canonical import canonical, digest
from exchange.errors import Problem
from exchange.ids import new_id
from exchange.parties import acts
from exchange.parties.acts import By, person_of
from exchange.parties.models import Client, Party
from licensing import registry
from licensing.models import Licence
from settlement import metered_query
from settlement.models import MeteredQuery
from settlement.prepared import Ask

PURPOSE = "delivery-review"
UNCERTAIN = ("node_unreachable", "node_untrusted", "query_in_progress")  # the same query is asked for again


def questions(version: Version) -> tuple[str, ...]:
    """What is asked of a version; nothing where there is no snapshot in service."""
    snapshot = version.resource.snapshot
    if snapshot is None or version.product.kind != Product.Kind.AGGREGATE:
        return ()
    return offering.standard(version.product.code, version.composition, manifest_of(snapshot.pk))


def cost(version: Version) -> int:
    """What asking all of them takes of the population's budget: looks, or micro-ρ; 0 where it has no limit."""
    snapshot = version.resource.snapshot
    if snapshot is None or not snapshot.policy.get("budget"):
        return 0
    made, manifest = version.composition, manifest_of(snapshot.pk)
    if snapshot.policy["profile"] == "private":
        return made.rho * len(questions(version))
    return sum(offering.looks(text, made, manifest) for text in questions(version))


def do_ask(version: Version, by: By) -> list[Sample]:
    """Ask the sample questions that have no answer yet; what became of each. Outside any transaction, for the node
    works meanwhile. Raises Problem step_not_possible, step_not_yours, step_own, product_not_queryable."""
    check(version, by)
    asked = questions(version)
    if not asked:
        raise Problem("product_not_queryable")
    party, found = version.reviewer, [_sample(version, text) for text in asked]
    try:
        licence = _license(version, party, by, len(asked))
    except Problem as problem:  # the population's budget does not cover it: that is what the reviewer sees
        Sample.objects.filter(pk__in=[each.pk for each in found], query=None).update(code="population_exhausted")
        _record(version, by, problem=problem.code)
        return _of(version)
    try:
        for each in found:
            if not each.delivered:
                _ask(each, _caller(party), licence)
    finally:
        registry.do_transition(licence, "ended", _actor(by))
    _record(version, by)
    return _of(version)


def check(version: Version, by: By) -> None:
    """Raises Problem unless this person reviews this version, which is under review."""
    version.refresh_from_db()
    person = person_of(by)
    if version.state != Version.State.SUBMITTED:
        raise Problem("step_not_possible", version.state)
    if person is None:
        raise Problem("step_not_yours")
    if not person.is_superuser and not acts.parties_of(person).filter(pk=version.reviewer_id).exists():
        raise Problem("step_not_yours")
    if version.submitted_by_id == person.pk and not person.is_superuser:
        raise Problem("step_own")


def _record(version: Version, by: By, **more: object) -> None:
    """The review's record, with what was asked and delivered."""
    found = _of(version)
    said = {"asked": len(found), "delivered": sum(each.delivered for each in found)} | more
    said |= {"queries": [str(each.query) for each in found if each.query]}
    with transaction.atomic():
        acts.record(version, "version.sampled", by, **said)


def _actor(by: By) -> str:
    return str(getattr(person_of(by), "pk", ""))


def _of(version: Version) -> list[Sample]:
    return list(version.samples.filter(submission=version.submission))


def _sample(version: Version, text: str) -> Sample:
    return Sample.objects.get_or_create(version=version, submission=version.submission, question=text)[0]


def _license(version: Version, party: Party, by: By, number: int) -> Licence:
    """The review's licence: free, for so many calls today, with its part of a private budget. Raises Problem."""
    today, purposes = timezone.localdate(), version.product.authorization.purposes or [PURPOSE]
    policy = version.resource.snapshot.policy
    licence = Licence(
        id=new_id(), product=version.product, version=version, review=True, buyer=party, purposes=purposes,
        quota=number, share=cost(version) if policy["profile"] == "private" else 0, tariff={},
        since=today, until=today + timedelta(days=1),
    )  # fmt: skip
    with transaction.atomic():
        registry.do_create(licence, _actor(by))
        registry.do_transition(licence, "in_force", _actor(by))
    return licence


def _ask(sample: Sample, caller: Caller, licence: Licence) -> None:
    """Ask once; a question whose end is uncertain is asked for again under the same key, so it is debited once."""
    if sample.code and sample.code not in UNCERTAIN:
        Sample.objects.filter(pk=sample.pk).update(attempt=F("attempt") + 1)
        sample.refresh_from_db()
    body = digest(canonical({"sample": str(sample.pk), "sql": sample.question}))
    ask = Ask(
        sample.question, licence.purposes[0], f"{sample.pk}:{sample.attempt}", body, licence=licence.pk, review=True
    )
    try:
        query: UUID | None = metered_query.answer(caller, ask).pk
        code = ""
    except Problem as problem:
        named = problem.extra.get("query")
        query, code = UUID(named) if named else None, problem.code
    spent = MeteredQuery.objects.filter(pk=query).values_list("terms__cost", flat=True).first() or 0
    Sample.objects.filter(pk=sample.pk).update(query=query, code=code, cost=spent)


def _caller(party: Party) -> Caller:
    """The client that a party's reviews are asked by: its secret is told to nobody, so no token is ever made of it."""
    client, _ = Client.objects.get_or_create(
        client_id=f"review-{party.pk}",
        defaults={
            "party": party, "name": "Delivery review", "client_type": Client.CLIENT_CONFIDENTIAL,
            "authorization_grant_type": Client.GRANT_CLIENT_CREDENTIALS,
        },
    )  # fmt: skip
    return Caller(client.pk, party.pk)
