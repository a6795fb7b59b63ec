"""How products were used, as the operator publishes it (27号): calls by month, nobody's name, no small number; a
delivery review is no use."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import TruncMonth
from django.utils import timezone

from settlement.models import JoinedProduct, Usage

FLOOR = 10  # fewer calls than this in a month are "fewer than 10", none included
MONTHS = 6


def months(today: date) -> list[date]:
    """The first days of the last MONTHS months that are over, the oldest first. The one that runs tells too much."""
    number = today.year * 12 + today.month - 1
    return [date(each // 12, each % 12 + 1, 1) for each in range(number - MONTHS, number)]


def calls(products: Sequence[Any], today: date) -> dict[Any, list[int | None]]:
    """The calls of each product (by key) in each of `months`; None where they are fewer than FLOOR. Two SQL queries."""
    wanted = months(today)
    start, end = (_midnight(day) for day in (wanted[0], today.replace(day=1)))
    asked = Usage.objects.filter(
        query__product__in=products, used_at__gte=start, used_at__lt=end, licence__review=False
    )
    joined = JoinedProduct.objects.filter(
        product__in=products, query__usage__used_at__gte=start, query__usage__used_at__lt=end
    )
    tally: Counter[tuple[Any, date]] = Counter()
    rows = (
        *asked.values_list("query__product_id", TruncMonth("used_at")).annotate(n=Sum("calls")).order_by(),
        *joined.values_list("product_id", TruncMonth("query__usage__used_at")).annotate(n=Count("*")).order_by(),
    )
    for product, month, n in rows:
        tally[product, timezone.localtime(month).date()] += n
    return {key: [n if (n := tally[key, month]) >= FLOOR else None for month in wanted] for key in products}


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
