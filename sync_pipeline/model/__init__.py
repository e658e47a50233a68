"""The vocabulary: entities, fields, links, owners, types and levels.

Pure Python. Nothing here knows SQL, Dagster or any particular system.
"""
