"""The merge: stage, plan, guard, apply; conflicts, parking, bookkeeping, schema and review.

Pure psycopg over entities: no Dagster and no particular system. `plan` has the merge rule.
"""
