"""Products and their versions: what must hold before each step, and what follows from it.

version: draft → submitted → (sent back | approved) → live → replaced
product: draft → listed → suspended, delisted

Whoever changes a product or a version of it locks the product first: two people never wait for each other in a circle,
and of two at once the second is told that the state has changed.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog import composition, redevelopment
from catalog.composition import TERMS
from catalog.covers import covers
from catalog.facts import grant_of, item_of
from catalog.machines import IN_MAKING
from catalog.models import Product, Version
from catalog.models.products import controlled_by
from catalog.registry import shares
from catalog.snapshots import manifest_of
from exchange.errors import Problem
from exchange.money import BASIS_POINTS
from exchange.parties import acts, notices
from exchange.parties.accreditation import is_accredited
from exchange.parties.acts import By, parties_of
from exchange.parties.models import Role, User

EDITED_IN = ("draft", "sent_back")
LINE = ("code", "name_zh", "name_en", "description_zh", "description_en", "kind", "authorization")
"""What a product has of its own; edited with its first version, until that is released."""


def do_compose(product: Product, version: Version, by: By, bases: Iterable[Product] = ()) -> Version:
    """Save a new product and its first version as drafts. Raises Problem field_invalid for a code that is taken."""
    product.state = Product.State.DRAFT
    _copy(version, product)
    try:
        with transaction.atomic():
            product.save(force_insert=True)
            acts.record(product, "product.opened", by)
            return _open(product, version, 1, by, bases)
    except IntegrityError:
        raise Problem("field_invalid", f"code: {product.code}") from None


def do_revise(product: Product, by: User) -> Version:
    """Open the next version as a draft with the terms of the last. Raises Problem version_open, step_not_yours."""
    with transaction.atomic():
        product = _lock(product.pk)
        if not by.is_superuser and not parties_of(by).filter(pk=product.merchant_id).exists():
            raise Problem("step_not_yours")
        last = product.versions.order_by("-number").first()
        if product.state == Product.State.DELISTED or last is None:
            raise Problem("step_not_possible", product.state)
        if product.versions.filter(state__in=IN_MAKING).exists():
            raise Problem("version_open")
        source: Any = product if product.version else last
        version = Version()
        _copy(source, version)
        live = product.versions.filter(number=product.version).first() or last
        return _open(product, version, last.number + 1, by, live.bases.all())


def do_edit(version: Version, by: By, fields: Sequence[str], line: Sequence[str] = ()) -> None:
    """Save changed `fields` of a draft, and of its product those of `line` until there was a release.

    Raises Problem version_frozen; needs no lock, takes the product's until the caller's transaction ends.
    """
    with transaction.atomic():
        product = _lock(version.product_id)
        current = Version.objects.select_for_update(of=("self",)).get(pk=version.pk)
        first = product.version == 0 and current.number == 1
        if current.state not in EDITED_IN or (line and not first):
            raise Problem("version_frozen", current.state)
        version.save(update_fields=fields)
        if first:
            _copy(version, version.product)
            version.product.save(update_fields=[*TERMS, *line])
        acts.record(version, "version.edited", by, fields=sorted([*fields, *line]))


def do_step(version: Version, name: str, by: By, reason: str = "") -> Version:
    """Take a step of machines.VERSION; the version as it is then. Raises Problem."""
    before = {
        "submit": _check_submission, "approve": partial(_check_approval, reason=reason), "release": _check_release,
    }.get(name)  # fmt: skip
    then = {
        "submit": _tell_reviewer, "send_back": partial(_tell_merchant, reason=reason), "approve": _tell_merchant,
        "release": _after_release, "withdraw": _after_withdrawal,
    }.get(name)  # fmt: skip
    with transaction.atomic():
        _lock(version.product_id)
        return acts.take(version, name, by, reason, before, then)[0]


def do_product_step(product: Product, name: str, by: By, reason: str = "") -> Product:
    """Take a step of machines.PRODUCT; the product as it is then. Raises Problem."""
    return acts.take(product, name, by, reason, check_listing if name in ("list", "resume") else None)[0]


def live_version(product: Product) -> Version | None:
    return product.versions.filter(state=Version.State.LIVE).first()


def check_listing(product: Product) -> None:
    """Raises Problem unless a version is live whose terms still hold."""
    live = live_version(product)
    if live is None or not product.version:
        raise Problem("version_missing")
    check_terms(live)


def check_terms(version: Version) -> None:
    """Raises Problem unless the version has a valid parent and an accredited merchant, can be asked, is no softer than
    the holder's policy, adds up, and redevelops nothing that its merchant's operator delivered."""
    product = version.product
    if product.version and version.resource_id != product.resource_id:
        raise Problem("field_invalid", "resource: another resource is another product")
    if not is_accredited(product.merchant_id, Role.MERCHANT, Role.OPERATOR):
        raise Problem("party_not_accredited", str(product.merchant))
    grant = grant_of(product.authorization)
    purpose, today = next(iter(grant.purposes), ""), timezone.localdate()
    why = covers(grant, item_of(version.resource), purpose, str(product.merchant_id), today)
    if why is not None:
        raise Problem("authorization_does_not_cover", str(why))
    parts = shares(product.authorization, version.merchant_share).values()
    if sum(parts) != BASIS_POINTS or min(parts) < 0:
        raise Problem("field_invalid", "merchant_share: the shares add up to more than the whole")
    if product.kind == Product.Kind.AGGREGATE:
        snapshot = version.resource.snapshot
        if snapshot is None:
            raise Problem("snapshot_missing")
        composition.check(version.composition, manifest_of(snapshot.pk).schema, snapshot.policy)
    check_redevelopment(version)


def check_redevelopment(version: Version) -> None:
    """27号, the agreement's item 6: neither the operator that delivered a base, nor whom it controls, redevelops it.

    Raises Problem redevelopment_barred; what the bases are themselves made from counts too.
    """
    direct = set(version.bases.values_list("pk", flat=True))
    if version.product_id in direct:
        raise Problem("field_invalid", "bases: a product is not made from itself")
    found = _operators([str(pk) for pk in direct], str(version.product_id))
    if (operator := redevelopment.barred(str(version.merchant_id), found, controlled_by())) is not None:
        raise Problem("redevelopment_barred", found[operator])


def _operators(direct: list[str], product: str) -> dict[str, str]:
    """The operators that delivered what a product is made from, with the code of one product of each."""
    if not direct:
        return {}
    released = Version.bases.through.objects.filter(version__state__in=("live", "replaced"))
    made_from: dict[str, list[str]] = {"": direct}
    for of, base in released.values_list("version__product", "product"):
        made_from.setdefault(str(of), []).append(str(base))
    bases = redevelopment.closure("", made_from) - {product}
    rows = Product.objects.filter(pk__in=bases).order_by("-code")
    return {str(operator): code for operator, code in rows.values_list("authorization__operator", "code")}


def _lock(product: object) -> Product:
    return Product.objects.select_for_update(of=("self",)).get(pk=product)


def _open(product: Product, version: Version, number: int, by: By, bases: Iterable[Product]) -> Version:
    version.product, version.number, version.state = product, number, Version.machine.first
    version.save(force_insert=True)
    version.bases.set(bases)
    acts.record(version, "version.opened", by)
    return version


def _copy(source: Any, target: Any) -> None:
    for name in TERMS:
        setattr(target, name, getattr(source, name))


def _check_submission(version: Version) -> None:
    check_terms(version)
    version.submission += 1
    version.unsampled = ""


def _check_approval(version: Version, reason: str) -> None:
    """A version is approved on sample answers, or with the recorded reason why there are none."""
    if has_sample(version):
        return
    if not reason.strip():
        raise Problem("sample_missing")
    version.unsampled = reason.strip()[: acts.MOST_REASON]


def has_sample(version: Version) -> bool:
    """Whether a sample answer of what was submitted last was delivered."""
    return any(sample.delivered for sample in version.samples.filter(submission=version.submission))


def _check_release(version: Version) -> None:
    """What held when it was submitted holds still. Then the live version is replaced: two are never live."""
    check_terms(version)
    if not (version.unsampled or has_sample(version)):
        raise Problem("sample_missing")
    live = live_version(version.product)
    if live is not None:
        acts.take(live, "replace", None)


def _after_release(version: Version) -> None:
    product = version.product
    _copy(version, product)
    product.version = version.number
    product.save(update_fields=[*TERMS, "version"])


def _after_withdrawal(version: Version) -> None:
    """A live version that is withdrawn leaves nothing to ask: its product pauses until the reviewer resumes it."""
    product = version.product
    if product.version != version.number:
        return
    if product.state == Product.State.LISTED:
        product = acts.take(product, "pause", None)[0]
    product.version = 0
    product.save(update_fields=["version"])


def _tell_reviewer(version: Version) -> None:
    name = version.product.name_zh
    notices.tell(
        version.reviewer, "version.submitted", f"{name} 第{version.number}版待审核",
        f"{name}: version {version.number} is to be reviewed",
    )  # fmt: skip


def _tell_merchant(version: Version, reason: str = "") -> None:
    name, state = version.product.name_zh, version.get_state_display()
    notices.tell(
        version.product.merchant, f"version.{version.state}", f"{name} 第{version.number}版：{state} {reason}".strip(),
        f"{name}: version {version.number} {version.state} {reason}".strip(),
    )  # fmt: skip
