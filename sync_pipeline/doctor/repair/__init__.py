"""Repair of unique keys: duplicates are merged, kept aside, and the unique index is built.

psycopg only. `unique_key` declares a key, `deduplicate` restores it, `restore` reverses a repair. Migrations
call `deduplicate.repair`, `indexes.add_index`, `restore.restore`, `session.transaction`, `session.fetch` and
`session.read_plain_table`, with the classes of `unique_key` and `report`: these names and their meaning stay.
"""
