"""Intake: the only writer of snapshots. It makes privacy cheap and every query total.

A source (CSV or Parquet) is checked against its schema; measures are clamped, values outside a domain become
null, both are counted; decimals become scaled integers; entities become dense integers; every row gets a rank
within its entity and a key, by HMAC from the entity's own rows, so that leaving one entity out changes no
other row. What it writes is integers only. The old snapshot stays in service until the new one is whole.
"""

from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.take import Report, take_in

__all__ = ["IntakeRefused", "Report", "take_in"]
