"""The tables of the messaging product. Rows do not belong here.

What guards the cache of phone numbers against duplicates, by database:

- `none`: nothing, although its code upserts.
- `named`: an index of the right name, on wrong columns.
- `inline`: the unique constraint of the table's own definition.
- `twice`: that, and an index that does the same.
"""

from typing import Final, Literal, LiteralString

import psycopg
from psycopg import sql

Guard = Literal["none", "named", "inline", "twice"]

_TABLES: Final[LiteralString] = """
create table if not exists workspaces (
    id uuid primary key default gen_random_uuid(), name text not null, created_at timestamptz default now()
);
create table if not exists workspace_memberships (
    workspace_id uuid not null references workspaces on delete cascade, user_id uuid not null,
    role text not null, primary key (workspace_id, user_id)
);
create table if not exists meta_tokens (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references workspaces on delete cascade,
    provider text not null default 'meta_system_user', token_encrypted text not null, expires_at timestamptz,
    scopes_json jsonb not null default '{}', created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table if not exists meta_whatsapp_connections (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references workspaces on delete cascade, waba_id text not null,
    phone_number_id text, display_phone_number text, verified_name text, dataset_id text,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
    unique (workspace_id, waba_id)
)
"""

_CACHE: Final = """
create table if not exists meta_assets_cache (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references workspaces on delete cascade, business_id text, waba_id text,
    phone_number_id text, display_phone_number text, verified_name text, quality_rating text,
    updated_at timestamptz not null default now() {dated} {inline}
)
"""

_INDEXES: Final[LiteralString] = """
create index if not exists meta_assets_cache_workspace_idx on meta_assets_cache (workspace_id);
create index if not exists meta_assets_cache_waba_idx on meta_assets_cache (workspace_id, waba_id)
"""

SECOND: Final = "idx_meta_assets_cache_ws_phone_unique"
_GUARDS: Final[dict[Guard, LiteralString]] = {
    "named": "create index if not exists {} on meta_assets_cache (workspace_id, waba_id)",
    "twice": "create unique index if not exists {} on meta_assets_cache (workspace_id, phone_number_id)",
}


def create(connection: psycopg.Connection, guard: Guard, *, dated: bool) -> None:
    """Create the tables where they are missing.

    Args:
        connection: in the caller's transaction.
        guard: of the cache.
        dated: whether the cache has last_synced_at and last_error.
    """
    connection.execute(_TABLES)
    has_inline = guard in {"inline", "twice"}
    statement = sql.SQL(_CACHE).format(
        dated=sql.SQL(", last_synced_at timestamptz, last_error text" if dated else ""),
        inline=sql.SQL(", unique (workspace_id, phone_number_id)" if has_inline else ""),
    )
    connection.execute(statement)
    connection.execute(_INDEXES)
    if dated:
        connection.execute(
            "create index if not exists meta_assets_cache_synced_idx on meta_assets_cache"
            " (workspace_id, last_synced_at desc nulls last)"
        )
    if guard in _GUARDS:
        connection.execute(sql.SQL(_GUARDS[guard]).format(sql.Identifier(SECOND)))
