"""The heart: stage, plan, guard, apply; parking, conflicts, history, undo.

Everything here talks to Postgres through psycopg and knows entities, never Dagster and never a
particular system.
"""
