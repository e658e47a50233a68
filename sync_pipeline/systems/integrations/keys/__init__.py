"""The unique keys of the menu tables, and their repair.

Migration 0006 calls `repair.rekey`, `short_indexes.drop_short_indexes`, `omits_configuration` and
`omits_source` with keys of its own: these names and their meaning stay, whatever becomes of `MENU_KEYS`.
"""
