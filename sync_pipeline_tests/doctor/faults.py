"""All faults that the doctor finds, those of foreign keys and privileges first, and what it ignores."""

from sync_pipeline_tests.doctor.fault import PHONES, ROLE, UNKEYED, W1, W2, error, note, warning
from sync_pipeline_tests.doctor.index_faults import KEYS, SECOND
from sync_pipeline_tests.doctor.table_faults import SHAPES

PARENTS = [
    error(
        "a_foreign_key_to_a_table_that_is_synced_later",
        "alter table crate add constraint x foreign key (seal, pieces) references tool;",
        "warehouse/crate",
        "foreign key x (seal, pieces) → tool, which is synced on level 1 and this table on level 0",
        "not read again",
    ),
    error(
        "a_foreign_key_to_a_table_of_the_same_level",
        "alter table seat add constraint x foreign key (colour) references crate (crate_id);",
        "warehouse/seat",
        "synced on level 0 and this table on level 0",
        "link=Link('crate', required=True)",
    ),
    warning(
        "a_foreign_key_whose_link_does_not_wait",
        "alter table tool add constraint x foreign key (crate_id) references crate (crate_id);",
        "warehouse/tool",
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
        "warehouse/crate",
        "deletes rows of sticker when a row here is deleted",
        "no undo brings them back",
    ),
]

ACCESS = [
    error(
        "a_privilege_that_is_missing",
        ROLE + "revoke update on crate from clerk; set local role clerk;",
        "warehouse/crate",
        "table crate: our role lacks UPDATE",
        "SQLSTATE 42501",
    ),
    error(
        "a_privilege_on_one_column_that_is_missing",
        ROLE + "revoke insert on seat from clerk; grant insert (\"row\", place, updated_at) on seat to clerk;"
        "set local role clerk;",
        "warehouse/seat",
        "our role lacks INSERT on (colour)",
    ),
    error(
        "a_sequence_that_may_not_be_used",
        ROLE + "revoke all on sequence crate_id_seq from clerk; set local role clerk;",
        "warehouse/crate",
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
        "warehouse/crate",
        "has rules on INSERT or UPDATE: elsewhere",
        "SQLSTATE 0A000",
    ),
    note(
        "a_trigger_that_may_change_rows",
        "create function shout() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger loud before insert or update on crate for each row execute function shout();",
        "warehouse/crate",
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
