"""Intake: the only writer of snapshots. It makes privacy cheap and every query total.

A source (CSV or Parquet) is checked against its schema; measures are clamped, values outside a domain become
null, both are counted; decimals become scaled integers; entities become dense integers; every row gets a rank
within its entity and a key, by a keyed function from the entity's own rows, so that leaving one entity out
changes no other row. What it writes is integers only. The old snapshot stays in service until the new one is
whole.

It goes over the disk twice (`take`), so memory does not grow with the rows: `source` reads batches, `rows` and
`encode` turn them into integers, `spool` keeps them, `sorting` and `numbering` order them, `matching` says who an
entity is in other snapshots, `publish` writes.
"""

from exchange.sandbox.intake.progress import Progress
from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.take import Area, Report, Task, take_in

__all__ = ["Area", "IntakeRefused", "Progress", "Report", "Task", "take_in"]
