"""Declarations of entities from the catalog of any Postgres database, for people to complete."""

from sync_pipeline.inspectdb.inspect import Inspected, inspect

__all__ = ["Inspected", "inspect"]
