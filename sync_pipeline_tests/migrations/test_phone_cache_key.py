"""The cache of phone numbers, from each of the states that it was found in, against the document's claims.

Its three queries are run as they stand. Where one of them, or a claim of safety, is not true, the test says
what happens here instead.
"""

from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Json

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.meta_assets.credentials import PHONES
from sync_pipeline.simulators.meta_assets.product.database import make_messaging
from sync_pipeline.simulators.meta_assets.product.rows import (
    BAD_WABA,
    WORKSPACES,
    cache_rows,
    user_of,
    workspace_rows,
)
from sync_pipeline.simulators.meta_assets.product.schema import SECOND, Guard
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.migrations.revisions import (
    at,
    column,
    content,
    down,
    indexes,
    rows,
    run,
    texts,
    up,
)

TABLE = "meta_assets_cache"
INLINE = "meta_assets_cache_workspace_id_phone_number_id_key"
NORTH, *_ = WORKSPACES
PHONE = PHONES[NORTH][0]

QUERY_1: LiteralString = """
    select indexname from pg_indexes where schemaname = 'public' and tablename = 'meta_assets_cache'
    and (indexdef like '%UNIQUE%' or indexname like '%unique%')
    and indexdef like '%workspace_id%' and indexdef like '%phone_number_id%' order by 1
"""
QUERY_2: LiteralString = """
    insert into meta_assets_cache (workspace_id, phone_number_id, waba_id, display_phone_number)
    values (%s, 'test_phone', 'test_waba', '+1234567890') on conflict (workspace_id, phone_number_id)
    do update set display_phone_number = excluded.display_phone_number, updated_at = now()
"""
QUERY_3: LiteralString = """
    select workspace_id, phone_number_id, count(*) from meta_assets_cache
    group by workspace_id, phone_number_id having count(*) > 1
"""


def messaging(dsn: str, guard: Guard = "none", *, dated: bool = True) -> None:
    with connect(dsn) as connection:
        make_messaging(connection, guard=guard, dated=dated)
    at(dsn)


def upsert(dsn: str, workspace: str) -> None:
    with connect(dsn) as connection:
        connection.execute(QUERY_2, [workspace])


def phones(dsn: str) -> list[dict[str, Any]]:
    return rows(dsn, "select * from meta_assets_cache where phone_number_id = %s", PHONE)


def test_upserts_work_and_no_number_is_there_twice(every_server: EmbeddedServer) -> None:
    dsn = every_server.create_database("messaging")
    messaging(dsn)
    with pytest.raises(psycopg.errors.InvalidColumnReference, match="no unique or exclusion"):
        upsert(dsn, WORKSPACES[NORTH])

    notes = up(dsn)

    assert column(dsn, QUERY_1) == [INLINE]
    for _ in range(2):
        upsert(dsn, WORKSPACES[NORTH])
    assert column(dsn, "select count(*) from meta_assets_cache where waba_id = 'test_waba'") == [1]
    assert any("10 rows merged into the newest" in t for t in texts(notes, "repaired", TABLE))


def test_what_only_older_rows_knew_is_kept_but_not_an_error_that_is_over(database: str) -> None:
    messaging(database)
    newest = max(phones(database), key=lambda row: row["updated_at"])
    assert newest["quality_rating"] is None  # a webhook wiped it

    up(database)

    (row,) = phones(database)
    known = {"quality_rating": "GREEN", "business_id": f"biz-{NORTH[-4:]}"}
    assert row == newest | known
    assert row["last_error"] is None
    assert (
        column(database, "select \"row\" ->> 'verified_name' from sync.removed_row")[1]
        == "Former name 0"
    )


def test_rows_without_a_number_are_no_duplicates_whatever_query_3_says(database: str) -> None:
    messaging(database)
    nulls: LiteralString = (
        "select id from meta_assets_cache where phone_number_id is null order by id"
    )
    lookups = column(database, nulls)

    up(database)

    assert len(lookups) == 3
    assert column(database, nulls) == lookups
    (reported,) = rows(database, QUERY_3)
    assert (reported["phone_number_id"], reported["count"]) == (None, 3)
    # The index allows even more of them.
    run(database, "insert into meta_assets_cache (workspace_id) select id from workspaces")


def test_query_2_as_it_is_written_fails_for_another_reason(database: str) -> None:
    messaging(database)
    up(database)

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        upsert(database, "00000000-0000-0000-0000-000000000000")


def test_a_name_proves_nothing(database: str) -> None:
    messaging(database, "named")
    claim = (
        "create unique index if not exists {} on meta_assets_cache (workspace_id, phone_number_id)"
    )
    with connect(database) as connection:
        connection.execute(sql.SQL(claim).format(sql.Identifier(SECOND)))  # "succeeds"
    with pytest.raises(psycopg.errors.InvalidColumnReference):
        upsert(database, WORKSPACES[NORTH])

    up(database)

    upsert(database, WORKSPACES[NORTH])
    assert "phone_number_id" in indexes(database, TABLE)[INLINE]


@pytest.mark.parametrize("guard", ["inline", "twice"])
def test_no_index_is_built_beside_one_that_does_and_a_duplicate_index_is_named(
    database: str, guard: Guard
) -> None:
    messaging(database, guard)
    before = indexes(database, TABLE)

    notes = up(database)

    assert indexes(database, TABLE) == before
    kept = " ".join(texts(notes, "kept", TABLE))
    assert ("only costs writes" in kept) is (guard == "twice")
    if guard == "twice":
        # The document warns that upserts fail without its index; the inline one goes on serving.
        with connect(database) as connection:
            connection.execute(sql.SQL("drop index {}").format(sql.Identifier(SECOND)))
        upsert(database, WORKSPACES[NORTH])


def test_the_columns_of_the_migration_before_may_be_missing(database: str) -> None:
    messaging(database, dated=False)
    assert "last_synced_at" not in phones(database)[0]

    up(database)

    assert len(phones(database)) == 1


def test_down_brings_all_rows_back_and_up_again_repairs_them_again(database: str) -> None:
    messaging(database)
    before, shape = content(database, TABLE), indexes(database, TABLE)
    notes = up(database)

    down(database, "0006")

    assert (content(database, TABLE), indexes(database, TABLE)) == (before, shape)
    assert column(database, "select count(*) from pg_policies") == [0]
    security: LiteralString = (
        "select relrowsecurity from pg_class where relname = 'meta_assets_cache'"
    )
    assert column(database, security) == [False]
    assert up(database) == notes


def test_the_whole_migration_repairs_it_too_and_only_once(database: str) -> None:
    with connect(database) as connection:
        make_messaging(connection, dated=False)

    notes = migrate.migrate(database, metadata(SYSTEMS))
    again = migrate.migrate(database, metadata(SYSTEMS))

    assert any("merged into the newest" in t for t in texts(notes, "repaired", TABLE))
    assert not [n for n in again if n.table == f"public.{TABLE}" and n.kind != "differs"]


def test_a_target_without_the_cache_is_left_alone(database: str) -> None:
    at(database, "0006")

    assert up(database) == []


# -- who may read and write


class Visitor:
    """Somebody whom the product's API lets in, as PostgREST does: a role, and claims for one transaction."""

    def __init__(self, dsn: str, claims: dict[str, str] | None) -> None:
        self.dsn = dsn
        self.claims = claims

    def run(self, statement: LiteralString, *values: Any) -> int:
        """Rows that the statement reached."""
        with connect(self.dsn) as connection, connection.transaction():
            connection.execute("set local role visitor")
            if self.claims is not None:
                connection.execute(
                    "select set_config('request.jwt.claims', %s::text, true)",
                    [Json(self.claims)],
                )
            return connection.execute(statement, values).rowcount


READ: LiteralString = "select from meta_assets_cache"
CHANGE: LiteralString = "update meta_assets_cache set verified_name = 'x'"
ENTER: LiteralString = "insert into meta_assets_cache (workspace_id) values (%s)"


@pytest.fixture
def guarded(database: str) -> str:
    messaging(database)
    up(database)
    run(
        database,
        "do $$ begin create role visitor; exception when duplicate_object then null; end $$",
        "grant select, insert, update, delete on meta_assets_cache to visitor",
        "grant select on workspace_memberships to visitor",
    )
    return database


def test_owners_and_admins_read_their_workspace_and_nobody_else_does(guarded: str) -> None:
    own = len([r for r in cache_rows(repeated=False) if r["workspace_id"] == WORKSPACES[NORTH]])

    seen = {
        role: Visitor(guarded, {"role": "authenticated", "sub": user_of(NORTH, role)}).run(READ)
        for role in ("owner", "admin", "member")
    }

    assert seen == {"owner": own, "admin": own, "member": 0}
    for claims in (None, {}, {"role": "anon"}, {"sub": "nobody"}):
        assert Visitor(guarded, claims).run(READ) == 0
    assert Visitor(guarded, {"sub": user_of(BAD_WABA, "owner")}).run(READ) == 1


def test_only_the_service_writes_and_nobody_deletes(guarded: str) -> None:
    workspace = workspace_rows()[0]["id"]
    owner = Visitor(guarded, {"role": "authenticated", "sub": user_of(NORTH, "owner")})
    assert owner.run(CHANGE) == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        owner.run(ENTER, workspace)

    service = Visitor(guarded, {"role": "service_role"})

    assert service.run(ENTER, workspace) == 1
    assert service.run(CHANGE) == service.run(READ) == len(cache_rows(repeated=False)) + 1
    assert service.run("delete from meta_assets_cache") == 0
    # Syncs run as the owner of the table, whom this does not concern.
    assert column(guarded, "select count(*) from meta_assets_cache") == [service.run(READ)]


def test_policies_that_are_there_stay_and_nothing_is_enabled_twice(database: str) -> None:
    messaging(database)
    run(
        database,
        "alter table meta_assets_cache enable row level security",
        "create policy own_reading on meta_assets_cache for select using (true)",
        "drop table workspace_memberships",
    )

    notes = up(database)

    policies: LiteralString = "select policyname from pg_policies order by 1"
    ours = ["meta_assets_cache_insert", "meta_assets_cache_update"]
    assert column(database, policies) == [*ours, "own_reading"]
    kept = texts(notes, "kept", TABLE)
    assert "members get no policy: there is no table public.workspace_memberships" in kept
    assert "policy own_reading for select stays; none is made beside it" in kept
    down(database, "0006")
    assert column(database, policies) == ["own_reading"]
    assert column(
        database, "select relrowsecurity from pg_class where relname = 'meta_assets_cache'"
    ) == [True]
