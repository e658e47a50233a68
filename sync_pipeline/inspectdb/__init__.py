"""Any Postgres database declared as entities, from its catalog, for people to complete."""

from sync_pipeline.inspectdb.inspect import Inspected, inspect

__all__ = ["Inspected", "inspect"]
