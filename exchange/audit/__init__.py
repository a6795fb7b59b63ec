"""The evidence: an append-only record of every decision, in a transparency log that anyone can check.

Owns records, their salted bodies, leaves, checkpoints, the published tiles in var/log and the history of
our public keys. Knows nothing of licences, queries or money: a record names actors by id and a licence by
its pseudonym, without foreign keys.

Invariants:
- A record is appended in the transaction of the change it records, or not at all (`log.append`).
- A record gets exactly one leaf; indexes have no gap and never change (`sequencer`).
- Published bytes are a function of the database: publishing again after a crash gives the same bytes.
- The published log never goes back and never forks, whatever backup the database came from.
- No statement of the application's role changes or removes a row here (`append_only`), save the queue's.
- The verifier (`verify`) shares no code with the writer and imports no Django, so this file does neither.
"""
