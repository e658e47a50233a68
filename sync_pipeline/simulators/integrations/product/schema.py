"""The tables of the signage product as its many migrations left them. Rows do not belong here.

Three states of the item tables, each found in some database:

- `bare`: before the repair script; no unique constraint, none of the columns that the sync names.
- `swallowed`: the script reported success, but an error handler swallowed the unique constraint of products,
  and it took indexes that have the right name but other columns for its own.
- `landed`: the script worked; now two sites of one source overwrite each other.
"""

from typing import Final, Literal, LiteralString

import psycopg
from psycopg import sql

State = Literal["bare", "swallowed", "landed"]
LevelType = Literal["bigint", "integer", "uuid"]
"""Type of concept_id, company_id and site_id, on which the product's migrations disagree."""

ITEM_TABLES: Final = ("integration_products", "integration_modifiers", "integration_discounts")

_REGISTRY: Final[LiteralString] = """
create table if not exists integration_sources (
    id uuid primary key default gen_random_uuid(), name text not null unique,
    created_at timestamptz default now()
);
create table if not exists wand_integration_sources (
    id uuid primary key default gen_random_uuid(), name text not null unique,
    integration_type text not null unique, description text, base_url_template text not null,
    auth_method text not null check (auth_method in
        ('none', 'api_key', 'bearer_token', 'basic_auth', 'oauth2', 'custom')),
    required_config_fields jsonb not null default '[]', optional_config_fields jsonb not null default '[]',
    default_sync_frequency_minutes integer not null default 15, min_update_interval_ms integer,
    max_update_interval_ms integer, fallback_interval_ms integer default 30000,
    formatter_name text not null, supports_incremental_sync boolean not null default false,
    supports_products boolean not null default true, supports_modifiers boolean not null default false,
    supports_discounts boolean not null default false, documentation_url text,
    status text not null default 'active' check (status in ('active', 'inactive', 'deprecated', 'beta')),
    metadata jsonb not null default '{}', created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table if not exists integration_source_configs (
    id uuid primary key default gen_random_uuid(),
    wand_source_id uuid not null references wand_integration_sources on delete cascade,
    config_name text not null,
    application_level text not null check (application_level in ('concept', 'company', 'site')),
    concept_id bigint, company_id bigint, site_id bigint, config_params jsonb not null default '{}',
    sync_frequency_minutes integer, sync_schedule text, is_active boolean not null default true,
    credentials jsonb not null default '{}', last_sync_at timestamptz, last_sync_status text,
    sync_count integer default 0, error_count integer default 0, last_error text,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
    created_by uuid, brand_options jsonb, is_brand_inherited boolean default false,
    brand_locked boolean default false,
    unique nulls not distinct (wand_source_id, application_level, concept_id, company_id, site_id),
    check (num_nonnulls(concept_id, company_id, site_id) = 1),
    check (case application_level when 'concept' then concept_id when 'company' then company_id
        else site_id end is not null)
);
create table if not exists integration_sync_history (
    id uuid primary key default gen_random_uuid(), source_name text not null,
    source_config_id uuid references integration_source_configs on delete cascade,
    status text not null check (status in ('in_progress', 'success', 'failed')),
    started_at timestamptz not null default now(), completed_at timestamptz, items_synced integer default 0,
    error_message text, created_at timestamptz not null default now()
)
"""

_ITEMS: Final = """
create table if not exists {table} (
    id uuid primary key default gen_random_uuid(), source_id uuid, {wand}
    source_config_id uuid references integration_source_configs, external_id text not null, {own}
    data jsonb not null default '{{}}', concept_id {level}, company_id {level}, site_id {level},
    last_synced_at timestamptz default now(), created_at timestamptz default now(),
    updated_at timestamptz default now()
)
"""

_OWN: Final[dict[str, LiteralString]] = {
    "integration_products": "path_id text, name text not null, item_type text default 'product',",
    "integration_modifiers": "{} name text not null, modifier_group_id text, modifier_group_name text,",
    "integration_discounts": "name text not null, discount_amount numeric,",
}

_BY_SOURCE_ID: Final[LiteralString] = """
alter table integration_products
    add constraint integration_products_source_external_unique unique (source_id, external_id);
alter table integration_modifiers
    add constraint integration_modifiers_source_external_path_unique unique (source_id, external_id, path_id);
alter table integration_discounts
    add constraint integration_discounts_source_external_unique unique (source_id, external_id)
"""

_AFTERWARDS: Final[dict[State, LiteralString]] = {
    "bare": "",
    # IF NOT EXISTS compares names only, so neither of these was replaced by the index of that name.
    "swallowed": _BY_SOURCE_ID
    + """;
create index idx_integration_products_wand_source on integration_products (source_id);
create index integration_discounts_wand_source_external_unique
    on integration_discounts (source_id, external_id)
""",
    "landed": _BY_SOURCE_ID
    + """;
alter table integration_products add constraint integration_products_wand_source_external_unique
    unique nulls not distinct (wand_source_id, external_id);
alter table integration_modifiers add constraint integration_modifiers_wand_source_external_path_unique
    unique nulls not distinct (wand_source_id, external_id, path_id);
alter table integration_discounts add constraint integration_discounts_wand_source_external_unique
    unique nulls not distinct (wand_source_id, external_id);
create index idx_integration_products_wand_source on integration_products (wand_source_id);
create index idx_integration_products_external_id on integration_products (external_id)
""",
}


def create(connection: psycopg.Connection, state: State, level: LevelType) -> None:
    """Create the tables where they are missing; the indexes of the state come with the tables.

    Args:
        connection: in the caller's transaction.
        state: of the item tables.
        level: type of concept_id, company_id and site_id.
    """
    connection.execute(_REGISTRY)
    missing = not _exists(connection, ITEM_TABLES[0])
    is_bare = state == "bare"
    for table in ITEM_TABLES:
        own = sql.SQL(_OWN[table]).format(sql.SQL("" if is_bare else "path_id text,"))
        statement = sql.SQL(_ITEMS).format(
            table=sql.Identifier(table),
            wand=sql.SQL("" if is_bare else "wand_source_id uuid,"),
            own=own,
            level=sql.SQL(level),
        )
        connection.execute(statement)
    if missing and _AFTERWARDS[state]:
        connection.execute(_AFTERWARDS[state])


def _exists(connection: psycopg.Connection, table: str) -> bool:
    found = connection.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return found is not None and bool(found[0])
