"""A product's next version and the licences that are there: nobody's licence changes without a word."""

from django.db import transaction

from catalog import versions
from catalog.composition import changes
from catalog.models import Version
from exchange.parties import notices
from exchange.parties.models import Party, User
from licensing.models import Licence
from licensing.registry import LIVE


def do_release(version: Version, by: User) -> Version:
    """Release a version, and tell every buyer with a licence what is new. Raises Problem as versions.do_step does."""
    with transaction.atomic():
        before = versions.live_version(version.product)
        released = versions.do_step(version, "release", by)
        if before is not None:
            _tell_buyers(before, released)
    return released


def _tell_buyers(before: Version, now: Version) -> None:
    found = list(changes(before.composition, now.composition)) or [("条款未变", "the same terms")]
    product = now.product
    zh, en = "；".join(zh for zh, _ in found), "; ".join(en for _, en in found)
    buyers = Licence.objects.filter(product=product, state__in=LIVE, review=False).values("buyer")
    for buyer in Party.objects.filter(pk__in=buyers):
        notices.tell(
            buyer, "version.released",
            f"{product.name_zh} 已发布第{now.number}版：{zh}。您的许可只按从严者执行。",
            f"{product.name_en or product.name_zh}: version {now.number} is live: {en}. "
            "Of it and what your licence was given under, the stricter holds.",
        )  # fmt: skip
