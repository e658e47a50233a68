"""Faults of the index on the key, of the rows' keys, and of further unique indexes."""

from sync_pipeline_tests.doctor.fault import FIX, STUCK, UNKEYED, Fault, error, note, warning


def no_index(name: str, index: str, reason: str) -> Fault:
    return error(
        name,
        UNKEYED + index,
        "warehouse/crate",
        "no valid, total unique index on (crate_id)",
        reason,
        STUCK,
        FIX,
        fixed_by="repair",
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
        "warehouse/tool",
        "index x is on fewer columns (number)",
        fixed_by="repair",
    ),
    error(
        "a_deferrable_constraint_beside_the_index",
        "alter table crate add constraint x unique (crate_id) deferrable;",
        "warehouse/crate",
        "x on the key is deferrable",
        "SQLSTATE 55000, whatever other index there is",
        "not deferrable",
    ),
    error(
        "an_index_that_lets_the_null_of_a_key_repeat",
        "drop index seat_row_place_key; create unique index x on seat (row, place);",
        "warehouse/seat",
        "unique index x lets a null in place repeat",
        "inserts another row",
        fixed_by="repair",
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
        "x treats nulls in phone_number_id as equal",
        "other programs are refused their second row",
    ),
    error(
        "keys_that_repeat",
        UNKEYED + "insert into crate (crate_id) values ('a'), ('a'), ('a'), ('b'), ('b'), ('c');",
        "warehouse/crate",
        "2 keys repeat in 3 surplus rows, such as a (3 times); b (2 times)",
        "no unique index can be created",
        FIX,
        fixed_by="repair",
    ),
    error(
        "a_null_that_repeats_where_it_counts",
        'drop index seat_row_place_key; alter table seat alter "row" drop not null;'
        "insert into seat (\"row\", place) values ('A', null), ('A', null), (null, 1), (null, 1);",
        "warehouse/seat",
        "1 key repeats in 1 surplus row, such as A, null (2 times)",
        fixed_by="repair",
    ),
    warning(
        "rows_without_their_key",
        "alter table crate alter crate_id drop not null; insert into crate (label) values ('x'), ('y');",
        "warehouse/crate",
        "key column crate_id allows null, declared not null, and 2 rows hold one",
        "never matched",
    ),
    note(
        "a_key_that_might_be_null",
        "alter table crate alter crate_id drop not null;",
        "warehouse/crate",
        "key column crate_id allows null, declared not null",
    ),
    warning(
        "an_identical_index",
        "create unique index again on crate (crate_id);",
        "warehouse/crate",
        "unique index again on (crate_id) repeats crate_crate_id_key",
        "every write maintains 8 kB of index for nothing",
        'drop index "public"."again"',
    ),
]

SECOND = [
    warning(
        "a_second_unique_index",
        "create unique index x on crate (label);",
        "warehouse/crate",
        "unique index x on (label) refuses rows that the key allows",
        "is rejected by its name",
    ),
    warning(
        "a_second_index_that_has_refused_records",
        "insert into sync.rejected (system, entity, key, fingerprint, reason, \"constraint\", payload,"
        " run_id) values ('warehouse', 'crate', '{\"crate_id\": \"c7\"}', 'f', 'r', 'crate_seal_key', '{}',"
        " gen_random_uuid());",
        "warehouse/crate",
        "crate_seal_key on (seal)",
        "rejected so far: 1, such as c7",
    ),
    warning(
        "an_exclusion_constraint",
        "alter table crate add constraint x exclude using btree (label with =);",
        "warehouse/crate",
        "exclusion constraint x on (label) refuses rows",
    ),
    note(
        "a_shorter_key_that_has_refused_nothing",
        "create unique index x on tool (number);",
        "warehouse/tool",
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
