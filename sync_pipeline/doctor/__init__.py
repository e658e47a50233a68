"""The doctor of targets: whether tables that others made are fit for a merge, and what it costs if not.

`examining` looks at every entity of a database, `mending` runs what mends it. psycopg and SQLAlchemy, no
Dagster; sources and settings are looked at by `checkup`.
"""
