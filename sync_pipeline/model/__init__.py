"""The vocabulary: entities, fields, links, owners, types and levels.

Pure Python: no SQL, no Dagster, no particular system.
"""
