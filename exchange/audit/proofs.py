"""Proofs that a record is in the log (C2SP tlog-proof), for the newest checkpoint."""

import base64

from exchange.audit.models import Checkpoint, Leaf, Record
from exchange.audit.sequencer import hashes
from exchange.crypto.merkle import inclusion_proof, node_reader
from exchange.errors import Problem


def inclusion(record: Record) -> str:
    """The text of the record's `.tlog-proof` file, against the newest checkpoint.

    Raises Problem not_yet_logged until the sequencer, within a second or so, gives the record its place.
    """
    # The leaf first: a checkpoint read after it covers it, because both are committed at once.
    leaf = Leaf.objects.filter(record_id=record.pk).first()
    if leaf is None:
        raise Problem("not_yet_logged", record=str(record.pk))
    newest = Checkpoint.objects.latest("size")
    path = inclusion_proof(leaf.index, newest.size, node_reader(hashes))
    lines = [base64.b64encode(sibling).decode() for sibling in path]
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {leaf.index}", *lines, "", newest.note])
