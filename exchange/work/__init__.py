"""Work that outlives a request: jobs in a table, leased by the worker, done at least once.

A handler must be idempotent; a job whose worker died is leased again when its lease is over.
"""
