"""Checks of target databases for the merge, and their repair: tables, keys, constraints, privileges.

`findings` checks every entity of a database, `fix` runs the repairs. psycopg and SQLAlchemy, no Dagster;
checks of sources and settings belong in `cli.health_check`.
"""
