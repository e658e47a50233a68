"""Unique keys that a table was meant to have, made real: duplicates merged, kept aside, and the index built.

psycopg only. `key` declares what is wanted, `survey` looks, `repair` mends, `restore` takes it back;
`indexing` adds and drops further indexes on the same terms. Import concrete submodules.
"""
