"""A git repository at a commit -> its files and symbols in Postgres. Knows nothing of queues.

``run.index_commit`` does the work, ``jobs`` keeps the rows that callers look at, ``search`` finds what was indexed.
"""
