"""The one reader of pg_catalog: tables, columns, indexes, foreign keys and triggers as plain data.

`tables` holds the data, `queries` the SQL, `reader` the functions. No query here reads a row of a table.
Judgement (what a merge needs, what a repair changes) belongs to the callers.
"""

from sync_pipeline.postgres.catalog.reader import (
    column_types,
    exists,
    indexes,
    missing_privileges,
    read,
    read_table,
    relation_names,
    schemas_with_tables,
    tables_in,
)
from sync_pipeline.postgres.catalog.tables import (
    Column,
    ColumnType,
    ForeignKey,
    Index,
    Table,
    TableName,
    Trigger,
)

__all__ = [
    "Column",
    "ColumnType",
    "ForeignKey",
    "Index",
    "Table",
    "TableName",
    "Trigger",
    "column_types",
    "exists",
    "indexes",
    "missing_privileges",
    "read",
    "read_table",
    "relation_names",
    "schemas_with_tables",
    "tables_in",
]
