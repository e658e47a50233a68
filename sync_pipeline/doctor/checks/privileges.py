"""Privileges, row security, rules and triggers of the tables."""

from collections.abc import Iterator

from sync_pipeline.doctor.findings import EntityCheck, Finding, listed
from sync_pipeline.merge.schema.bookkeeping_tables import BOOK_SCHEMA
from sync_pipeline.merge.schema.metadata import BASE_SCHEMA
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.catalog import Table
from sync_pipeline.postgres.connect import Connection

_DENIED = "every run fails with SQLSTATE 42501"


def barriers(check: EntityCheck) -> Iterator[Finding]:
    """Privileges that are missing, row security, and rules."""
    table = check.table
    if table is None:
        return
    lacking = list(_missing(check, table))
    if lacking:
        yield check.error(
            "privilege",
            f"{check.name}: our role lacks {'; '.join(lacking)}",
            cost=_DENIED,
            remedy="let the owner grant it to the role of the connection",
        )
    if table.row_security:
        yield check.error(
            "row_security",
            f"{check.name} has row security that applies to our role",
            cost=f"{_DENIED}: rows that a policy hides would look deleted",
            remedy="connect as the table's owner or as a role with BYPASSRLS",
        )
    if table.rules and table.kind in {"r", "p"}:
        yield check.error(
            "rule",
            f"{check.name} has rules on INSERT or UPDATE: {listed(table.rules)}",
            cost="every insert fails with SQLSTATE 0A000",
            remedy="drop them; a trigger can do what they do",
        )


def triggers(check: EntityCheck) -> Iterator[Finding]:
    """Triggers that may change or skip what the sync writes."""
    deletes = check.entity.missing == "delete"
    for trigger in check.table.triggers if check.table else ():
        if trigger.events == "DELETE" and not deletes:
            continue
        yield check.note(
            "trigger",
            f"trigger {trigger.name} runs {trigger.function}() before {trigger.events}",
            cost="a mapped value that it changes looks like an edit made here; a row that it skips stops"
            " the run before anything is written",
            remedy="let it leave mapped columns and the sync's rows alone",
        )


def _missing(check: EntityCheck, table: Table) -> Iterator[str]:
    yield from (
        p for p in table.missing_privileges if p != "DELETE" or check.entity.missing == "delete"
    )
    kept = {*check.entity.key} | ({check.entity.owner.column} if check.entity.owner else set())
    for privilege in ("SELECT", "INSERT", "UPDATE"):
        concerned = [c for c in check.columns if privilege != "UPDATE" or c.name not in kept]
        denied = [c.name for c in concerned if privilege in c.missing_privileges]
        if denied:
            all_ = len(denied) == len(concerned)
            yield privilege if all_ else f"{privilege} on ({listed(denied)})"
    yield from (f"USAGE on {c.sequence}" for c in table.columns.values() if not c.sequence_usable)


def bookkeeping(connection: Connection) -> Iterator[Finding]:
    """Privileges that our role lacks on the bookkeeping schemas and in the database."""
    lacking = catalog.missing_privileges(connection, [BASE_SCHEMA, BOOK_SCHEMA])
    if lacking:
        rest = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        yield Finding(
            "error",
            "target",
            f"our role lacks {'; '.join(lacking[:3])}{rest}",
            f"let the owner grant it, on all tables of {BOOK_SCHEMA} and {BASE_SCHEMA}",
            _DENIED,
            "privilege",
        )
