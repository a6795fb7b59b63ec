"""Who may ask what, how often and at what price: licences, purposes, quotas, tariffs, and `decide`.

Owns the terms between a buyer and a product, and the two meters that queries are counted on. Moves no money.
Invariants: a decision depends on terms, history and public metadata, never on data; quotas and the cap of a
population hold under concurrency.
"""
