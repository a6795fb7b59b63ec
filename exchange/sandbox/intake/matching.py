"""Who an entity of one snapshot is in another: words of its own, the same in all snapshots of a population. Pure.

Dense numbers are a snapshot's own. A vault that joins two snapshots needs to know which numbers are of one entity, and
must not see by what intake knows it: these words follow from that by a key of the population's own, so that they match
nothing outside it, and nobody without the row secret can say whose they are.
"""

import pyarrow as pa
import pyarrow.compute as pc

from exchange.sandbox.intake.keys import Keys

MATCHES = ("_match0", "_match1")


def matches(hashes: pa.RecordBatch, keys: Keys, population: str) -> pa.RecordBatch:
    """One row for each entity with a first row among `hashes` (numbering.KNOWN): its number here, and its words."""
    first = hashes.filter(pc.equal(hashes.column("_rank"), 1))
    heads, tails = (first.column(name).to_numpy().astype("uint64") for name in ("_head", "_tail"))
    words = keys.matches(population, heads, tails)
    named = {name: pa.array(each) for name, each in zip(MATCHES, words, strict=True)}
    return pa.record_batch({"_entity": first.column("_entity")} | named)
