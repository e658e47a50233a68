"""An invented system with one entity for each kind of key, and faults that others plant into its tables."""

from __future__ import annotations

from dataclasses import dataclass

from sync_pipeline.doctor.findings import Severity
from sync_pipeline.model.entity import Entity, Field, Link, Local, Owner, Serial, Stamp
from sync_pipeline.model.system import System
from sync_pipeline.model.types import integer, numeric, text, timestamptz, varchar
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.meta_assets.entities import META_ASSETS
from sync_pipeline.systems.registry import SYSTEMS

CRATE = Entity(
    name="crate",
    source="crate",
    key=("crate_id",),
    absent="cleared",
    modified="packed_at",
    missing="delete",
    unique=(("seal",),),
    columns=(
        Serial("id"),
        Field("crate_id", text, "id"),
        Field("label", varchar(40), "label"),
        Field("seal", text, "seal"),
        Field("weight", numeric, "weight"),
        Field("pieces", integer, "pieces"),
        Field("packed_at", timestamptz, "packed"),
        Stamp("updated_at", timestamptz),
        Local("remark", text),
    ),
)

TOOL = Entity(
    name="tool",
    source="tool",
    key=("crate_id", "number"),
    absent="unknown",
    owner=Owner("source", ours=("Y",), mark="Y"),
    columns=(
        Field("crate_id", text, "crate", link=Link("crate")),
        Field("number", integer, "number"),
        Field("name", text, "name"),
        Local("source", varchar(1)),
        Local("shelf", text),
    ),
)

SEAT = Entity(
    name="seat",
    source="seat",
    key=("row", "place"),
    absent="cleared",
    columns=(
        Serial("id"),
        Field("row", text, "row"),
        Field("place", integer, "place", nulls_not_distinct=True),
        Field("colour", text, "colour"),
        Stamp("updated_at", timestamptz),
    ),
)

YARD = System("yard", (CRATE, TOOL, SEAT))
EVERYTHING = tuple({s.name: s for s in (*SYSTEMS, INTEGRATIONS, META_ASSETS, YARD)}.values())


@dataclass(frozen=True)
class Fault:
    """What somebody did to a table, and what the doctor has to say of it.

    Attributes:
        name: of the test.
        planted: the statements that do it.
        where: system and entity.
        severity: of the finding.
        says: parts of problem, cost and remedy, in this order.
        mended_by: how `--fix` mends it.
    """

    name: str
    planted: str
    where: str
    severity: Severity
    says: tuple[str, ...]
    mended_by: str = ""


def error(name: str, planted: str, where: str, *says: str, mended_by: str = "") -> Fault:
    return Fault(name, planted, where, "error", says, mended_by)


def warning(name: str, planted: str, where: str, *says: str) -> Fault:
    return Fault(name, planted, where, "warning", says)


def note(name: str, planted: str, where: str, *says: str) -> Fault:
    return Fault(name, planted, where, "note", says)


UNKEYED = "drop index crate_crate_id_key;"
STUCK = "every sync of this table fails with SQLSTATE 42P10 before it writes anything"
FIX = "sync-pipeline doctor --fix"
PHONES = "insert into meta_assets_cache (workspace_id, phone_number_id) values"
W1, W2 = (f"'{n}0000000-0000-4000-8000-000000000000'" for n in (1, 2))
PRODUCTS = "integration_products_wand_source_id_source_config_id_external_key"


def no_index(name: str, index: str, reason: str) -> Fault:
    return error(
        name,
        UNKEYED + index,
        "yard/crate",
        "no valid, total unique index on (crate_id)",
        reason,
        STUCK,
        FIX,
        mended_by="repair",
    )


KEYS = [
    no_index("no_index_on_the_key", "", "(crate_id)"),
    no_index(
        "an_index_that_is_not_unique", "create index x on crate (crate_id);", "x is not unique"
    ),
    no_index(
        "a_partial_index",
        "create unique index x on crate (crate_id) where weight > 1;",
        "x holds only rows where (weight > ",
    ),
    no_index(
        "an_index_on_an_expression",
        "create unique index x on crate (lower(crate_id));",
        "x is on an expression",
    ),
    no_index(
        "an_invalid_index",
        "create unique index x on crate (crate_id);"
        "update pg_index set indisvalid = false where indexrelid = 'x'::regclass;",
        "x is not valid: its creation failed",
    ),
    no_index(
        "an_index_on_more_columns",
        "create unique index x on crate (crate_id, label);",
        "x is on more columns (crate_id, label)",
    ),
    no_index(
        "an_index_of_that_name_on_other_columns",
        "create unique index crate_crate_id_key on crate (id);",
        "crate_crate_id_key has its name but is on (id)",
    ),
    error(
        "an_index_on_fewer_columns",
        "alter table tool drop constraint tool_pkey; create unique index x on tool (number);",
        "yard/tool",
        "index x is on fewer columns (number)",
        mended_by="repair",
    ),
    error(
        "a_deferrable_constraint_beside_the_index",
        "alter table crate add constraint x unique (crate_id) deferrable;",
        "yard/crate",
        "x on the key is deferrable",
        "SQLSTATE 55000, whatever other index there is",
        "not deferrable",
    ),
    error(
        "an_index_that_lets_the_null_of_a_key_repeat",
        "drop index seat_row_place_key; create unique index x on seat (row, place);",
        "yard/seat",
        "unique index x lets a null in place repeat",
        "inserts another row",
        mended_by="repair",
    ),
    warning(
        "an_index_that_takes_the_nulls_of_others_for_equal",
        "alter table meta_assets_cache drop constraint if exists x;"
        "do $$ declare i text; begin"
        " for i in select indexrelid::regclass::text from pg_index where indrelid ="
        " 'meta_assets_cache'::regclass and indisunique and indnkeyatts = 2"
        " loop execute 'drop index ' || i; end loop; end $$;"
        "create unique index x on meta_assets_cache (workspace_id, phone_number_id)"
        " nulls not distinct;",
        "meta_assets/meta_phone_number",
        "x takes nulls in phone_number_id for equal",
        "other programs are refused their second row",
    ),
    error(
        "keys_that_repeat",
        UNKEYED + "insert into crate (crate_id) values ('a'), ('a'), ('a'), ('b'), ('b'), ('c');",
        "yard/crate",
        "2 keys repeat in 3 surplus rows, such as a (3 times); b (2 times)",
        "no unique index can be created",
        FIX,
        mended_by="repair",
    ),
    error(
        "a_null_that_repeats_where_it_counts",
        'drop index seat_row_place_key; alter table seat alter "row" drop not null;'
        "insert into seat (\"row\", place) values ('A', null), ('A', null), (null, 1), (null, 1);",
        "yard/seat",
        "1 key repeats in 1 surplus row, such as A, null (2 times)",
        mended_by="repair",
    ),
    warning(
        "rows_without_their_key",
        "alter table crate alter crate_id drop not null; insert into crate (label) values ('x'), ('y');",
        "yard/crate",
        "key column crate_id allows null, declared not null, and 2 rows hold one",
        "never matched",
    ),
    note(
        "a_key_that_might_be_null",
        "alter table crate alter crate_id drop not null;",
        "yard/crate",
        "key column crate_id allows null, declared not null",
    ),
    warning(
        "an_identical_index",
        "create unique index again on crate (crate_id);",
        "yard/crate",
        "unique index again on (crate_id) repeats crate_crate_id_key",
        "every write maintains 8 kB of index for nothing",
        'drop index "public"."again"',
    ),
]

SECOND = [
    warning(
        "a_second_unique_index",
        "create unique index x on crate (label);",
        "yard/crate",
        "unique index x on (label) refuses rows that the key allows",
        "is rejected by its name",
    ),
    warning(
        "a_second_index_that_has_refused_records",
        "insert into sync.rejected (system, entity, key, fingerprint, reason, \"constraint\", payload,"
        " run_id) values ('yard', 'crate', '{\"crate_id\": \"c7\"}', 'f', 'r', 'crate_seal_key', '{}',"
        " gen_random_uuid());",
        "yard/crate",
        "crate_seal_key on (seal)",
        "rejected so far: 1, such as c7",
    ),
    warning(
        "an_exclusion_constraint",
        "alter table crate add constraint x exclude using btree (label with =);",
        "yard/crate",
        "exclusion constraint x on (label) refuses rows",
    ),
    note(
        "a_shorter_key_that_has_refused_nothing",
        "create unique index x on tool (number);",
        "yard/tool",
        "unique index x on (number) refuses rows that the key allows",
    ),
    warning(
        "a_shorter_key_that_has_refused_records",
        "drop index if exists integration_products_wand_source_external_unique;"
        "alter table integration_products drop constraint if exists"
        " integration_products_wand_source_external_unique;"
        "create unique index x on integration_products (wand_source_id, external_id);"
        "insert into sync.rejected (system, entity, key, fingerprint, reason, \"constraint\", payload,"
        " run_id) values ('integrations', 'integration_product', '{\"external_id\": \"7-1\"}', 'f', 'r',"
        " 'x', '{}', gen_random_uuid());",
        "integrations/integration_product",
        "unique index x on (wand_source_id, external_id) refuses rows that the key allows",
        "rejected so far: 1, such as 7-1",
    ),
]  # fmt: skip

SHAPES = [
    error(
        "no_table",
        "drop table crate;",
        "yard/crate",
        "does not exist",
        "sync-pipeline migrate",
        mended_by="migrate",
    ),
    error(
        "a_view_in_the_place_of_the_table",
        "alter table crate rename to boxes; create view crate as select * from boxes;",
        "yard/crate",
        "crate is a view and no table",
        "no unique index for an upsert",
    ),
    warning(
        "an_unlogged_table",
        "alter table seat set unlogged;",
        "yard/seat",
        "is unlogged",
        "a crash of the server empties it",
        "set logged",
    ),
    note(
        "a_partitioned_table",
        "drop table seat; create table seat (id integer default 1, \"row\" text, place integer, colour text,"
        " updated_at timestamptz, unique nulls not distinct (\"row\", place)) partition by list (\"row\");",
        "yard/seat",
        "is partitioned",
    ),
    error(
        "a_mapped_column_that_is_gone",
        "alter table crate drop column label, drop column updated_at;",
        "yard/crate",
        "no column label",
        "no column updated_at",
        mended_by="migrate",
    ),
    error(
        "a_flag_column_that_is_gone",
        "alter table integration_discounts drop column is_missing;",
        "integrations/integration_discount",
        "no column is_missing",
        mended_by="migrate",
    ),
    error(
        "a_column_that_cannot_be_compared",
        "alter table crate alter pieces type text;",
        "yard/crate",
        "column pieces is text, which cannot be compared with integer",
    ),
    warning(
        "a_narrower_column",
        "alter table crate alter label type varchar(3);"
        "insert into sync_base.yard__crate (crate_id, label) values ('a', 'long'), ('b', 'ok');",
        "yard/crate",
        "label is character varying(3), declared as character varying(40); 1 of the source's values do",
        "is rejected",
    ),
    warning(
        "a_column_that_rounds",
        "alter table crate alter weight type numeric(6,1);"
        "insert into sync_base.yard__crate (crate_id, weight) values ('a', 1.25), ('b', 1.5);",
        "yard/crate",
        "weight is numeric(6,1), declared as numeric; 1 of the source's values do not fit",
        "looks like an edit made here",
    ),
    warning(
        "a_column_for_smaller_numbers",
        "alter table crate alter pieces type smallint;",
        "yard/crate",
        "pieces is smallint, declared as integer",
    ),
    warning(
        "a_column_that_drops_fractions_of_seconds",
        "alter table crate alter packed_at type timestamptz(0);"
        "insert into sync_base.yard__crate (crate_id, packed_at) values ('a', '2026-01-01 00:00:00.5Z');",
        "yard/crate",
        "packed_at is timestamptz(0), declared as timestamp with time zone; 1 of the source's values do",
        "looks like an edit made here",
    ),
    note(
        "a_wider_column",
        "alter table crate alter label type text;",
        "yard/crate",
        "label is text, declared as character varying(40)",
        "it holds every value",
    ),
    error(
        "a_generated_column",
        "alter table crate drop column label, add column label text generated always as ('x') stored;",
        "yard/crate",
        "column label is generated by the database",
        "SQLSTATE 428C9",
    ),
    error(
        "a_column_that_nobody_fills",
        "alter table crate add column colour text not null;",
        "yard/crate",
        "column colour is NOT NULL, has no default and the sync does not fill it",
        "SQLSTATE 23502",
    ),
    error(
        "no_base",
        "drop table sync_base.yard__crate;",
        "yard/crate",
        "base table sync_base.yard__crate does not exist",
        mended_by="migrate",
    ),
    error(
        "a_base_that_lacks_a_field",
        "alter table sync_base.yard__tool drop column name;",
        "yard/tool",
        "has no column name",
        mended_by="migrate",
    ),
    error(
        "a_base_of_another_type",
        "alter table sync_base.yard__tool alter number type bigint;",
        "yard/tool",
        "column number of the base is bigint, declared as integer",
        mended_by="migrate",
    ),
    error(
        "no_bookkeeping",
        "drop table sync.rejected; create unique index x on crate (label);",
        "target",
        "bookkeeping table sync.rejected does not exist",
        mended_by="migrate",
    ),
]  # fmt: skip

PARENTS = [
    error(
        "a_foreign_key_to_a_table_that_is_synced_later",
        "alter table crate add constraint x foreign key (seal, pieces) references tool;",
        "yard/crate",
        "foreign key x (seal, pieces) → tool, which is synced on level 1 and this table on level 0",
        "not read again",
    ),
    error(
        "a_foreign_key_to_a_table_of_the_same_level",
        "alter table seat add constraint x foreign key (colour) references crate (crate_id);",
        "yard/seat",
        "synced on level 0 and this table on level 0",
        "link=Link('crate', required=True)",
    ),
    warning(
        "a_foreign_key_whose_link_does_not_wait",
        "alter table tool add constraint x foreign key (crate_id) references crate (crate_id);",
        "yard/tool",
        "no field of it is a required link",
        "rejected, and not released when the parent arrives",
    ),
    error(
        "a_foreign_key_to_an_empty_table",
        "create table workspaces (id uuid primary key);"
        "alter table meta_assets_cache add constraint x foreign key (workspace_id) references workspaces;",
        "meta_assets/meta_phone_number",
        "foreign key x (workspace_id) → workspaces, which is empty and not synced",
        "SQLSTATE 23503",
    ),
    warning(
        "a_foreign_key_that_rows_break",
        f"create table workspaces (id uuid primary key); insert into workspaces values ({W1});"
        f"{PHONES} ({W1}, '1'), ({W2}, '2');"
        "alter table meta_assets_cache add constraint x foreign key (workspace_id) references workspaces"
        " not valid;",
        "meta_assets/meta_phone_number",
        "is NOT VALID; 1 row without a parent",
        "validate constraint",
    ),
    warning(
        "a_delete_that_cascades",
        "create table sticker (crate text references crate (crate_id) on delete cascade);",
        "yard/crate",
        "deletes rows of sticker when a row here is deleted",
        "no undo brings them back",
    ),
]

ROLE = (
    "create role clerk; grant usage on schema public, sync, sync_base to clerk;"
    "grant all on all tables in schema public, sync, sync_base to clerk;"
    "grant all on all sequences in schema public to clerk;"
)
ACCESS = [
    error(
        "a_privilege_that_is_missing",
        ROLE + "revoke update on crate from clerk; set local role clerk;",
        "yard/crate",
        "table crate: our role lacks UPDATE",
        "SQLSTATE 42501",
    ),
    error(
        "a_privilege_on_one_column_that_is_missing",
        ROLE + "revoke insert on seat from clerk; grant insert (\"row\", place, updated_at) on seat to clerk;"
        "set local role clerk;",
        "yard/seat",
        "our role lacks INSERT on (colour)",
    ),
    error(
        "a_sequence_that_may_not_be_used",
        ROLE + "revoke all on sequence crate_id_seq from clerk; set local role clerk;",
        "yard/crate",
        "our role lacks USAGE on crate_id_seq",
    ),
    error(
        "bookkeeping_that_may_not_be_written",
        ROLE + "revoke insert on sync.step from clerk; set local role clerk;",
        "target",
        "our role lacks INSERT on sync.step",
    ),
    error(
        "row_security",
        ROLE + "alter table meta_assets_cache enable row level security; set local role clerk;",
        "meta_assets/meta_phone_number",
        "has row security that applies to our role",
        "rows that a policy hides would look deleted",
        "BYPASSRLS",
    ),
    error(
        "a_rule",
        "create rule elsewhere as on insert to crate do instead nothing;",
        "yard/crate",
        "has rules on INSERT or UPDATE: elsewhere",
        "SQLSTATE 0A000",
    ),
    note(
        "a_trigger_that_may_change_rows",
        "create function shout() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger loud before insert or update on crate for each row execute function shout();",
        "yard/crate",
        "trigger loud runs shout() before INSERT or UPDATE",
        "looks like an edit made here",
    ),
]  # fmt: skip

FAULTS = [*KEYS, *SECOND, *SHAPES, *PARENTS, *ACCESS]

HARMLESS = {
    "an_index_that_includes_a_column": UNKEYED
    + "create unique index x on crate (crate_id) include (label);",
    "a_unique_index_that_holds_the_key": "create unique index x on crate (crate_id, label);",
    "a_unique_index_on_what_the_sync_leaves_null": (
        "create unique index x on tool (shelf, number);"
    ),
    "a_foreign_key_to_a_table_outside_that_has_rows": (
        f"create table workspaces (id uuid primary key); insert into workspaces values ({W1});"
        "alter table meta_assets_cache add constraint x foreign key (workspace_id) references workspaces;"
    ),
    "a_foreign_key_of_a_column_that_is_not_synced": (
        "create table sources (id uuid primary key);"
        "alter table integration_products add constraint x foreign key (source_id) references sources;"
    ),
    "rows_of_others_without_a_phone_number": f"{PHONES} ({W1}, null), ({W1}, null);",
    "row_security_that_spares_us": "alter table crate enable row level security;",
    "columns_of_their_own": "alter table crate add column colour text, add unique (colour);",
    "a_disabled_trigger": (
        "create function shout() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger loud before insert on crate for each row execute function shout();"
        "alter table crate disable trigger loud;"
    ),
}
