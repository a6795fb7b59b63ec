"""What a query becomes: usage, money, a receipt. `metered_query` is the path of one query, whole.

Owns the ledger, rating, usage, stored releases and receipts. Invariants: a query is charged once or not at
all; debits equal credits; the shares of a line sum to the line; usage, ledger and log agree.
"""
