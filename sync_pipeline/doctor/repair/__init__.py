"""Repair of unique keys: duplicates are merged, kept aside, and the unique index is built.

psycopg only. `unique_key` declares a key, `deduplicate` restores it, `restore` reverses a repair. Migrations
0006 and 0007 call `deduplicate.repair`, `restore.restore`, `indexes.add_index`, `indexes.indexes`, and
`fetch`, `fetch_value`, `transaction` and `read_plain_table` of `session`, with `UniqueKey`, `Report` and
`listed`: these names and their meaning stay.
"""
