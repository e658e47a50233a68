"""The unique key of the cache of phone numbers, and policies on who may read and write its rows.

Rows without a phone number are no duplicates of each other: each business lookup enters one, and the unique
index allows them. A null `last_error` means that the last sync went well, so it is not filled from an older
row.

Revision: 0007
Follows: 0006
"""

from alembic import context, op
from psycopg import sql

from sync_pipeline.doctor.repair.deduplicate import repair
from sync_pipeline.doctor.repair.report import Report
from sync_pipeline.doctor.repair.restore import restore
from sync_pipeline.doctor.repair.session import fetch, transaction
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.schema.migrate import add_notes
from sync_pipeline.postgres.catalog import TableName, exists
from sync_pipeline.postgres.connect import Connection

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = UniqueKey(
    "public",
    "meta_assets_cache",
    ("workspace_id", "phone_number_id"),
    nulls_not_distinct=False,
    name="meta_assets_cache_workspace_id_phone_number_id_key",
    newest=("updated_at", "last_synced_at"),
    null_is_value=("last_error",),
)
MEMBERSHIPS = TableName("public", "workspace_memberships")

# Who asks is in the request's claims, as PostgREST hands them over. Empty counts as absent: that is what a
# setting of an earlier transaction becomes.
CLAIM = "nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> '{}'"
SERVICE = f"({CLAIM.format('role')}) = 'service_role'"
MEMBER = (
    "exists (select from public.workspace_memberships m where m.workspace_id ="
    f" meta_assets_cache.workspace_id and m.user_id::text = ({CLAIM.format('sub')})"
    " and m.role in ('owner', 'admin'))"
)
MARK = "made by sync_pipeline"
WAS_OFF = f"{MARK}, which also enabled row level security"


def upgrade() -> None:
    connection = _connection()
    if not exists(connection, KEY.table_name):
        return
    add_notes(context.config, repair(connection, KEY).notes)
    add_notes(context.config, _guard(connection).notes)


def downgrade() -> None:
    connection = _connection()
    if not exists(connection, KEY.table_name):
        return
    add_notes(context.config, _unguard(connection).notes)
    add_notes(context.config, restore(connection, str(KEY.table_name)).notes)


def _connection() -> Connection:
    found = op.get_bind().connection.driver_connection
    assert found is not None
    return found


# -- row level security: the owner of the table, as whom syncs run, is not subject to it


def _guard(connection: Connection) -> Report:
    report = Report(str(KEY.table_name))
    with transaction(connection, KEY.table_name):
        was_on, is_forced = _security(connection)
        statements = _policies(connection, report)
        present = _present(connection)
        for command, (name, clauses) in statements.items():
            others = [n for n, c, _ in present if c in {command, "ALL"}]
            if others:
                report.add_kept(
                    f"policy {others[0]} for {command.lower()} stays; none is made beside it"
                )
                continue
            _create(connection, name, command, clauses, remark=MARK if was_on else WAS_OFF)
            report.add_repaired(f"policy {name} for {command.lower()} created")
        if not was_on:
            _execute(connection, "alter table {} enable row level security")
            report.add_repaired(
                "row level security enabled: other roles than the owner go by the policies"
            )
        if is_forced:
            report.add_kept(
                "row level security is forced on the owner too: let syncs run as a role that bypasses it"
            )
        _verify(connection, set(statements))
    return report


def _policies(connection: Connection, report: Report) -> dict[str, tuple[str, str]]:
    """Name and clauses by command; nobody deletes."""
    reads = SERVICE
    if exists(connection, MEMBERSHIPS):
        reads = f"{SERVICE} or {MEMBER}"
    else:
        report.add_kept(f"members get no policy: there is no table {MEMBERSHIPS}")
    return {
        "SELECT": ("meta_assets_cache_select", f"using ({reads})"),
        "INSERT": ("meta_assets_cache_insert", f"with check ({SERVICE})"),
        "UPDATE": ("meta_assets_cache_update", f"using ({SERVICE}) with check ({SERVICE})"),
    }


def _create(connection: Connection, name: str, command: str, clauses: str, *, remark: str) -> None:
    _execute(connection, f"create policy {name} on {{}} for {command} {clauses}")
    _execute(connection, f"comment on policy {name} on {{}} is '{remark}'")


def _execute(connection: Connection, statement: str) -> None:
    # All of its parts are constants of this module.
    text = sql.SQL(statement)  # pyright: ignore[reportArgumentType]
    connection.execute(text.format(KEY.table_name.relation))


def _security(connection: Connection) -> tuple[bool, bool]:
    rows = fetch(
        connection,
        """
        select relrowsecurity, relforcerowsecurity
        from pg_class
        where oid = to_regclass(%s)
        """,
        [KEY.table_name.relation.as_string(connection)],
    )
    return rows[0][0], rows[0][1]


def _present(connection: Connection) -> list[tuple[str, str, str]]:
    """Name, command and comment of each permissive policy."""
    return [
        (name, command, comment)
        for name, command, comment in fetch(
            connection,
            """
            select
                polname::text,
                case polcmd
                    when 'r' then 'SELECT'
                    when 'a' then 'INSERT'
                    when 'w' then 'UPDATE'
                    when 'd' then 'DELETE'
                    else 'ALL'
                end,
                coalesce(obj_description(oid, 'pg_policy'), '')
            from pg_policy
            where polrelid = to_regclass(%s) and polpermissive
            order by 1
            """,
            [KEY.table_name.relation.as_string(connection)],
        )
    ]


def _verify(connection: Connection, expected: set[str]) -> None:
    commands = {command for _, command, _ in _present(connection)}
    is_on, _ = _security(connection)
    if not is_on or not (expected <= commands or "ALL" in commands):
        raise TargetNotPrepared(
            f"{KEY.table_name}: row level security is not what was made: it is {'on' if is_on else 'off'},"
            f" with policies for {', '.join(sorted(commands)) or 'nothing'}. Nothing was changed; look for an"
            " event trigger that alters it."
        )


def _unguard(connection: Connection) -> Report:
    report = Report(str(KEY.table_name))
    with transaction(connection, KEY.table_name):
        ours = [(n, remark) for n, _, remark in _present(connection) if remark.startswith(MARK)]
        for name, _ in ours:
            _execute(connection, f"drop policy {name} on {{}}")
            report.add_repaired(f"policy {name} dropped")
        if any(remark == WAS_OFF for _, remark in ours):
            _execute(connection, "alter table {} disable row level security")
            report.add_repaired("row level security disabled, as it was before")
    return report
