"""A product's next version and the licences that are there: nobody's licence changes without a word."""

from django.db import transaction

from catalog import versions
from catalog.composition import changes
from catalog.models import Product, Version
from exchange.parties import notices
from exchange.parties.acts import By
from exchange.parties.models import Party
from licensing.models import Licence
from licensing.registry import LIVE


def do_release(version: Version, by: By) -> Version:
    """Release a version, and tell every buyer with a licence what is new. Raises Problem as versions.do_step does."""
    with transaction.atomic():
        before = Product.objects.get(pk=version.product_id).composition  # of the version that was live last
        released = versions.do_step(version, "release", by)
        found = list(changes(before, released.composition)) or [("条款未变", "the same terms")]
        zh, en = "；".join(zh for zh, _ in found), "; ".join(en for _, en in found)
        _tell_buyers(
            released, f"已发布：{zh}。许可依其授予时的版本与本版本从严执行。",
            f"is live: {en}. Of it and what your licence was given under, the stricter holds.",
        )  # fmt: skip
    return released


def do_withdraw(version: Version, by: By, reason: str) -> Version:
    """Withdraw a version; where it was live, buyers are told that nothing can be asked. Raises Problem."""
    with transaction.atomic():
        live = versions.live_version(version.product) == version
        withdrawn = versions.do_step(version, "withdraw", by, reason)
        if live:
            _tell_buyers(withdrawn, f"已撤回，暂不能查询：{reason}", f"is withdrawn, nothing can be asked: {reason}")
    return withdrawn


def _tell_buyers(version: Version, zh: str, en: str) -> None:
    product, number = version.product, version.number
    buyers = Licence.objects.filter(product=product, state__in=LIVE, review=False).values("buyer")
    for buyer in Party.objects.filter(pk__in=buyers):
        notices.tell(
            buyer, f"version.{version.state}", f"{product.name_zh} 第{number}版{zh}",
            f"{product.name_en or product.name_zh}: version {number} {en}",
        )  # fmt: skip
