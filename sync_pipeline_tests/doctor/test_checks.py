"""The doctor finds each fault with its cost, and fixes what can be fixed in one go."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import bytes_of
from sync_pipeline.doctor.fix import FixReport, fix
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge import preflight
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.systems.migration_hooks import AFTER_MIGRATION, TABLE_REPAIRS
from sync_pipeline_tests.doctor.fault import ROLE, UNKEYED, W1, W2, Fault
from sync_pipeline_tests.doctor.faults import FAULTS, HARMLESS
from sync_pipeline_tests.doctor.migrated_target import MigratedTarget
from sync_pipeline_tests.doctor.sample_system import EVERYTHING, WAREHOUSE

REPAIRED = [f for f in FAULTS if f.fixed_by == "repair"]

# What a repair leaves to people: indexes that somebody else made, and rows without a key.
LEFT = {"redundant", "second_index", "key_null"}

PHONES = f"""
do $$ declare i text; begin
    for i in select indexrelid::regclass::text from pg_index
        where indrelid = 'meta_assets_cache'::regclass and indisunique and not indisprimary
    loop execute 'drop index ' || i; end loop;
end $$;
insert into meta_assets_cache (workspace_id, phone_number_id, verified_name, quality_rating, updated_at)
values ({W1}, '1', 'Old', 'GREEN', '2026-01-01'), ({W1}, '1', 'New', null, '2026-01-02'),
    ({W2}, '1', 'Other', null, '2026-01-01'), ({W1}, null, 'Business A', null, '2026-01-01'),
    ({W1}, null, 'Business B', null, '2026-01-01');
"""

MENUS = f"""
do $$ declare i text; begin
    for i in select indexrelid::regclass::text from pg_index
        where indrelid = 'integration_products'::regclass and indisunique and not indisprimary
    loop execute 'drop index ' || i; end loop;
end $$;
create unique index integration_products_source_key on integration_products (source_id, external_id);
insert into integration_products (wand_source_id, source_config_id, external_id, name, updated_at)
values ({W1}, {W2}, '7-1', 'Old soup', '2026-01-01'), ({W1}, {W2}, '7-1', 'Soup', '2026-01-02'),
    (null, {W2}, '7-2', 'Bread', '2026-01-01'), (null, {W2}, '7-2', 'Dark bread', '2026-01-02'),
    ({W1}, {W1}, '7-1', 'Soup elsewhere', '2026-01-01');
"""


@pytest.fixture(scope="module")
def target(every_server: EmbeddedServer) -> Iterator[MigratedTarget]:
    """A migrated target on each release, with the tables of every system and of a sample one."""
    name = f"target_{uuid4().hex[:8]}"
    dsn = every_server.create_database(name)
    migrate.migrate(dsn, metadata(EVERYTHING), AFTER_MIGRATION)
    target = MigratedTarget(dsn)
    yield target
    target.connection.close()
    with psycopg.connect(every_server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_a_migrated_target_of_all_systems_is_sound(target: MigratedTarget) -> None:
    assert [f for f in target.examined() if f.severity != "note"] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_doctor_finds(target: MigratedTarget, fault: Fault) -> None:
    with target.planted(fault.statements):
        found = target.examined(fault.where.partition("/")[0], "warehouse")
    alike = [f for f in found if (f.where, f.severity) == (fault.where, fault.severity)]
    texts = {f"{f.problem} | {f.cost} | {f.remedy}": f for f in alike}
    [finding] = [
        f for text, f in texts.items() if all(part in text for part in fault.expected)
    ] or [pytest.fail(f"{fault.expected} is not in {list(texts) or found}")]
    assert finding.fixed_by == fault.fixed_by
    assert finding.cost
    assert finding.remedy
    assert finding.kind


@pytest.mark.parametrize("planted", HARMLESS.values(), ids=HARMLESS)
def test_the_doctor_ignores(target: MigratedTarget, planted: str) -> None:
    with target.planted(planted):
        found = target.examined("warehouse", "integrations", "meta_assets")
    assert [f for f in found if f.severity != "note"] == []


def test_a_query_that_is_too_slow_or_not_permitted_returns_nothing(
    target: MigratedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_query, "STATEMENT_TIMEOUT", "1ms")
    with target.planted("create role clerk; set local role clerk"):
        assert bounded_query.fetch(target.connection, sql.SQL("select pg_sleep(60)")) == []
        assert bounded_query.count(target.connection, sql.SQL("select count(*) from crate")) == 0
        assert bounded_query.fetch(target.connection, sql.SQL("select 1")) == [(1,)]


def test_sizes_read_well() -> None:
    assert [bytes_of(n) for n in (0, 8192, 1_572_864, 5 * 2**30, 2**50)] == [
        "0 kB",
        "8 kB",
        "1.5 MB",
        "5 GB",
        "1,048,576 GB",
    ]


def test_a_run_is_refused_with_what_fixes_the_target(target: MigratedTarget) -> None:
    refused = "drop index seat_row_place_key; create unique index x on seat (row, place);"
    with target.planted(refused), pytest.raises(TargetNotPrepared) as caught:
        preflight.check(target.connection, Relations(WAREHOUSE["seat"]))
    message = str(caught.value)
    assert "a unique index on (row, place) that lets a null repeat" in message
    assert "`sync-pipeline doctor` shows all findings" in message
    assert "`sync-pipeline doctor --fix` repairs what it can" in message


# -- fixing


def fixed(target: MigratedTarget, *names: str, dry_run: bool = False) -> list[FixReport]:
    found = target.examined(*names)
    return fix(target.connection, EVERYTHING, found, repairs=TABLE_REPAIRS, dry_run=dry_run)


@pytest.mark.parametrize("fault", REPAIRED, ids=lambda fault: fault.name)
def test_a_fault_is_fixed(target: MigratedTarget, fault: Fault) -> None:
    with target.planted(fault.statements):
        [planned] = fixed(target, "warehouse", dry_run=True)
        unchanged = target.examined("warehouse")
        [done] = fixed(target, "warehouse")
        left = target.examined("warehouse")
    assert any(f.fixed_by == "repair" for f in unchanged)
    assert (planned.status, done.status) == ("planned", "done")
    assert (planned.where, planned.repair_id) == (done.where, None)
    assert planned.sql[0].startswith("create unique index ")
    assert len(done.lines) == len(planned.lines)
    assert done.repair_id
    assert {f.kind for f in left if f.severity != "note"} <= LEFT


def test_phone_numbers_that_repeat_are_merged_and_rows_without_one_are_left(
    target: MigratedTarget,
) -> None:
    with target.planted(PHONES):
        [report] = fixed(target, "meta_assets")
        rows = target.rows(
            "select verified_name as name, quality_rating as quality from meta_assets_cache order by 1"
        )
        kept = target.rows("select row ->> 'verified_name' as name from sync.removed_row")
        assert target.examined("meta_assets") == []
    assert report.status == "done"
    assert [(r["name"], r["quality"]) for r in rows] == [
        ("Business A", None),
        ("Business B", None),
        ("New", "GREEN"),
        ("Other", None),
    ]
    assert kept == [{"name": "Old"}]


def test_menu_items_that_repeat_are_merged_their_nulls_included(target: MigratedTarget) -> None:
    with target.planted(MENUS):
        [report] = fixed(target, "integrations")
        rows = target.rows("select name from integration_products order by 1")
        left = [f for f in target.examined("integrations") if f.severity != "note"]
    assert report.where == "integrations/integration_product"
    assert [r["name"] for r in rows] == ["Dark bread", "Soup", "Soup elsewhere"]
    assert left == []


REGISTRY = f"""
create table if not exists integration_source_configs (
    id uuid primary key, wand_source_id uuid not null, site_id bigint
);
insert into integration_source_configs values ({W1}, {W1}, 1);
create unique index brief on integration_products (wand_source_id, external_id);
insert into integration_products (wand_source_id, source_config_id, external_id, name)
values ({W1}, {W1}, '7-1', 'Soup');
"""
SECOND = f"insert into integration_source_configs values ({W2}, {W1}, 2);"


def test_a_shorter_key_is_dropped_once_a_source_has_a_second_configuration(
    target: MigratedTarget,
) -> None:
    def fixes(severity: str) -> list[str]:
        found = target.examined("integrations")
        return [f.fixed_by for f in found if (f.kind, f.severity) == ("second_index", severity)]

    with target.planted(REGISTRY):
        assert (fixes("note"), fixes("error")) == ([""], [])
        target.run(SECOND)
        assert (fixes("note"), fixes("error")) == ([], ["repair"])

        planned = fixed(target, "integrations", dry_run=True)
        dropped, repaired = fixed(target, "integrations")

        assert [report.lines for report in planned] == [dropped.lines, repaired.lines]
        assert "unique index brief on (wand_source_id, external_id) dropped" in dropped.lines[0]
        assert (bool(dropped.repair_id), repaired.repair_id) == (True, None)
        assert (fixes("note"), fixes("error")) == ([], [])


def test_menu_items_of_two_sources_or_sites_are_never_merged(target: MigratedTarget) -> None:
    unkeyed, _, _ = MENUS.partition("create unique")
    of_two_sources = (
        unkeyed
        + f"""
        insert into integration_products (source_id, external_id, name)
        values ({W1}, '7-1', 'Burger'), ({W2}, '7-1', 'Salad');
    """
    )
    with target.planted(of_two_sources):
        [done] = fixed(target, "integrations")
        assert done.status == "done"
        assert target.rows("select count(*) from integration_products") == [{"count": 2}]

        target.run(
            f"insert into integration_products (wand_source_id, external_id, name, site_id)"
            f" values ({W1}, '7-2', 'Soup', 1);"
            + unkeyed
            + f"insert into integration_products (wand_source_id, external_id, name, site_id)"
            f" values ({W1}, '7-2', 'Soup', 2);"
        )
        [refused] = fixed(target, "integrations")
        assert refused.status == "refused"
        assert "differ in (site_id)" in refused.lines[0]
        assert target.rows("select count(*) from integration_products") == [{"count": 4}]


def test_a_table_that_may_not_be_repaired_is_reported(target: MigratedTarget) -> None:
    role = ROLE + (
        "alter table seat owner to clerk; grant create on schema public to clerk;"
        "drop index seat_row_place_key; set local role clerk;"
    )
    with target.planted(UNKEYED + role):
        crate, seat = fixed(target, "warehouse")
    assert (crate.where, crate.status) == ("warehouse/crate", "refused")
    assert "owner of" in crate.lines[0]
    assert (seat.where, seat.status) == ("warehouse/seat", "done")
