"""A licence whose queries fail again and again is suspended, so that failures are no free way to probe."""

from exchange.errors import Problem
from exchange.parties import notices
from licensing import registry
from licensing.models import Licence


def do_suspend(licence: Licence) -> None:
    """Suspend and tell the buyer; nothing where somebody else was first."""
    try:
        registry.do_transition(licence, "suspended", "sluice", "queries failed again and again")
    except Problem:
        return
    notices.tell(
        licence.buyer,
        "licence.suspended",
        f"许可 {licence} 因查询连续失败已暂停。",
        f"The licence {licence} is suspended: its queries failed again and again.",
    )
