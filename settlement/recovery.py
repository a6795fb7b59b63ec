"""Reserved queries that nobody brought to an end: the worker sends their orders again."""

import logging
from datetime import timedelta

from django.utils import timezone

from exchange.errors import Problem
from settlement import metered_query
from settlement.models import MeteredQuery

AGAIN_AFTER = timedelta(seconds=30)
_log = logging.getLogger(__name__)


def run_due(limit: int = 100) -> int:
    """Finish reserved queries that are due to be sent again; how many came to an end.

    Taking one moves its next time first, so that two workers seldom take the same; where they do, the node
    runs the order once and settling happens once.
    """
    ended, now = 0, timezone.now()
    due = MeteredQuery.objects.filter(state=MeteredQuery.State.RESERVED, send_again_at__lte=now)
    for query in due.select_related("release", "licence", "product__resource__domain")[:limit]:
        MeteredQuery.objects.filter(pk=query.pk).update(send_again_at=timezone.now() + AGAIN_AFTER)
        try:
            metered_query.finish(query)
            ended += 1
        except Problem as problem:
            _log.warning("query %s: %s", query.pk, problem.code)
            ended += problem.code not in ("node_unreachable", "node_untrusted")
    return ended
