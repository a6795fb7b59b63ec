"""A version as its reviewer sees it: what it offers, and the sample answers with their evidence."""

from typing import Any

from catalog.models import Sample, Version
from exchange.errors import CODES
from exchange.parties.acts import parties_of
from exchange.parties.models import User
from exchange.portal.admin import composing
from exchange.portal.texts import english
from settlement import samples
from settlement.models import MeteredQuery, Receipt
from settlement.presented import document_of

MOST_ROWS = 12


def preview_of(version: Version) -> dict[str, Any]:
    """What a buyer could ask of the version."""
    snapshot, found = version.resource.snapshot, composing.manifest(version.resource)
    policy = snapshot.policy if snapshot else {}
    return composing.preview(version.product.code, version.composition, found, policy)


def review_of(version: Version, user: User) -> dict[str, Any]:
    """The review's part of the page. The answers are for the reviewer alone: merchants get no answers for nothing."""
    reviews = user.is_superuser or parties_of(user).filter(pk=version.reviewer_id).exists()
    asked = version.samples.filter(submission=version.submission)
    open_now = version.state == Version.State.SUBMITTED
    return {
        "samples": [_told(each, reviews) for each in asked],
        "to_ask": len(samples.questions(version)) if reviews and open_now else 0,
        "ask_cost": samples.cost(version) if reviews and open_now else 0,
        "unsampled": version.unsampled,
    }


def _told(sample: Sample, with_answer: bool) -> dict[str, Any]:
    row = CODES.get(sample.code)
    said = {"question": sample.question, "delivered": sample.delivered, "cost": sample.cost,
            "problem": (row.en if english() else row.zh) if row else ""}  # fmt: skip
    return said | (_answer(sample) if with_answer and sample.delivered else {})


def _answer(sample: Sample) -> dict[str, Any]:
    query = MeteredQuery.objects.select_related("release", "usage", "receipt", "product").get(pk=sample.query)
    document = document_of(query)
    return {
        "columns": [column["name"] for column in document["columns"]],
        "rows": document["rows"][:MOST_ROWS],
        "more": max(0, len(document["rows"]) - MOST_ROWS),
        "receipt": Receipt.objects.get(query=query).record,
    }
