"""What stands between our role and the table: privileges, row security, rules, triggers."""

from __future__ import annotations

from collections.abc import Iterator

from sync_pipeline.doctor.findings import EntityCheck, Finding, listed
from sync_pipeline.doctor.table_facts import Table
from sync_pipeline.merge.schema.metadata import BASE_SCHEMA, BOOK_SCHEMA
from sync_pipeline.postgres.connect import Connection

_DENIED = "every run fails with SQLSTATE 42501"


def barriers(case: EntityCheck) -> Iterator[Finding]:
    """Privileges that are missing, row security, and rules."""
    table = case.table
    if table is None:
        return
    lacking = list(_lacking(case, table))
    if lacking:
        yield case.finding(
            "error",
            "privilege",
            f"{case.name}: our role lacks {'; '.join(lacking)}",
            cost=_DENIED,
            remedy="let the owner grant it to the role of the connection",
        )
    if table.secured:
        yield case.finding(
            "error",
            "row_security",
            f"{case.name} has row security that applies to our role",
            cost=f"{_DENIED}: rows that a policy hides would look deleted",
            remedy="connect as the table's owner or as a role with BYPASSRLS",
        )
    if table.rules and table.kind in {"r", "p"}:
        yield case.finding(
            "error",
            "rule",
            f"{case.name} has rules on INSERT or UPDATE: {listed(table.rules)}",
            cost="every insert fails with SQLSTATE 0A000",
            remedy="drop them; a trigger can do what they do",
        )


def triggers(case: EntityCheck) -> Iterator[Finding]:
    """Triggers that may change or swallow what the sync writes."""
    deletes = case.entity.missing == "delete"
    for trigger in case.table.triggers if case.table else ():
        if trigger.events == "DELETE" and not deletes:
            continue
        yield case.finding(
            "note",
            "trigger",
            f"trigger {trigger.name} runs {trigger.function}() before {trigger.events}",
            cost="a mapped value that it changes looks like an edit made here; a row that it swallows stops"
            " the run before anything is written",
            remedy="let it leave mapped columns and the sync's rows alone",
        )


def _lacking(case: EntityCheck, table: Table) -> Iterator[str]:
    yield from (p for p in table.denied if p != "DELETE" or case.entity.missing == "delete")
    kept = {*case.entity.key} | ({case.entity.owner.column} if case.entity.owner else set())
    for privilege in ("SELECT", "INSERT", "UPDATE"):
        concerned = [c for c in case.columns if privilege != "UPDATE" or c.name not in kept]
        denied = [c.name for c in concerned if privilege in c.denied]
        if denied:
            all_ = len(denied) == len(concerned)
            yield privilege if all_ else f"{privilege} on ({listed(denied)})"
    yield from (f"USAGE on {c.sequence}" for c in table.columns.values() if c.sequence)


def account(connection: Connection) -> Iterator[Finding]:
    """What our role may not do with our own schemas, and in the database."""
    rows = connection.execute(
        "select 'TEMPORARY on the database' where not has_database_privilege(current_database(), 'TEMPORARY')"
        " union all select format('%%s on %%I.%%I', p.privilege, n.nspname, c.relname)"
        " from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
        " cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p(privilege)"
        " where n.nspname = any(%s) and c.relkind = 'r' and not has_table_privilege(c.oid, p.privilege)"
        " union all select 'USAGE on schema ' || n.nspname from pg_catalog.pg_namespace n"
        " where n.nspname = any(%s) and not has_schema_privilege(n.oid, 'USAGE')",
        [[BASE_SCHEMA, BOOK_SCHEMA], [BASE_SCHEMA, BOOK_SCHEMA]],
    ).fetchall()
    lacking = [text for (text,) in rows]
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
