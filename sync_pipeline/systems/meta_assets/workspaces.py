"""Reads connected workspaces with their accounts and tokens from the target.

The app's own tables are read and never written: `meta_whatsapp_connections`, `meta_tokens`, and the cache
itself, which has numbers that no connection names.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import sql

from sync_pipeline.postgres.connect import Connection

CONNECTIONS = "meta_whatsapp_connections"
TOKENS = "meta_tokens"
PROVIDERS = ("meta_system_user", "meta_whatsapp")

_ACCOUNTS: LiteralString = """
    select workspace_id::text, array_agg(distinct waba_id order by waba_id)
    from {}
    where waba_id <> '' and workspace_id is not null
    group by workspace_id
    order by workspace_id
"""
_NEWEST_TOKENS: LiteralString = r"""
    select distinct on (workspace_id) workspace_id::text, btrim(token_encrypted, E' \t\r\n')
    from {}
    where provider = any(%s)
        and token_encrypted ~ '\S'
        and (expires_at is null or expires_at > now())
    order by workspace_id, coalesce(updated_at, created_at) desc nulls last, id
"""
# A connection goes before the cache, and a row with an account before one without.
_HOLDERS: LiteralString = """
    select distinct on (workspace_id, phone_number_id)
        workspace_id::text, phone_number_id, coalesce(waba_id, '')
    from ({}) holder
    where phone_number_id = any(%s)
    order by workspace_id, phone_number_id, waba_id is null, priority, waba_id
"""
_NUMBERS: LiteralString = """
    select workspace_id, phone_number_id, nullif(waba_id, '') as waba_id, {} as priority from {}
"""


@dataclass(frozen=True)
class Connected:
    """The connected workspaces.

    Attributes:
        accounts: by workspace, its accounts in order.
        tokens: by workspace, its newest token that has not expired.
        default_token: for workspaces without a token; empty: there is none.
        notes: tables that the target does not have.
    """

    accounts: dict[str, list[str]]
    tokens: dict[str, str] = field(repr=False)
    default_token: str = field(repr=False, default="")
    notes: tuple[str, ...] = ()

    def token(self, workspace_id: str) -> str:
        """The token of a workspace or the default one; empty: there is none."""
        return self.tokens.get(workspace_id) or self.default_token


@dataclass(frozen=True)
class Holder:
    """A workspace that has a phone number, and the number's account; empty: unknown."""

    workspace_id: str
    phone_id: str
    waba_id: str


def connected(connection: Connection, schema: str, default_token: str = "") -> Connected:
    """Every connected workspace.

    Args:
        connection: to the target.
        schema: of the app's tables.
        default_token: for workspaces without a token.
    """
    present = present_tables(connection, schema, (CONNECTIONS, TOKENS))
    accounts: dict[str, list[str]] = {}
    tokens: dict[str, str] = {}
    notes = []
    if CONNECTIONS in present:
        query = sql.SQL(_ACCOUNTS).format(sql.Identifier(schema, CONNECTIONS))
        accounts = dict(connection.execute(query).fetchall())
    else:
        notes.append(f"the target has no table {schema}.{CONNECTIONS}: no workspace is connected")
    if TOKENS in present:
        query = sql.SQL(_NEWEST_TOKENS).format(sql.Identifier(schema, TOKENS))
        tokens = dict(connection.execute(query, [list(PROVIDERS)]).fetchall())
    else:
        notes.append(f"the target has no table {schema}.{TOKENS}: META_ACCESS_TOKEN alone counts")
    return Connected(accounts, tokens, default_token, tuple(notes))


def holders(
    connection: Connection, schema: str, cache: str, phone_ids: Collection[str]
) -> list[Holder]:
    """The workspaces that have one of these numbers, by their connection or by the cache.

    Args:
        connection: to the target.
        schema: of the app's tables.
        cache: the table of cached numbers.
        phone_ids: the numbers.
    """
    present = present_tables(connection, schema, (CONNECTIONS, cache))
    if not present or not phone_ids:
        return []
    numbers = sql.SQL(" union all ").join(
        sql.SQL(_NUMBERS).format(sql.Literal(priority), sql.Identifier(schema, table))
        for priority, table in enumerate(present)
    )
    rows = connection.execute(sql.SQL(_HOLDERS).format(numbers), [sorted(phone_ids)])
    return [Holder(*row) for row in rows]


def present_tables(connection: Connection, schema: str, tables: Sequence[str]) -> list[str]:
    """Those of the app's tables that the target has, in the given order."""
    rows = connection.execute(
        """
        select name
        from unnest(%s::text[]) with ordinality t(name, place)
        where to_regclass(format('%%I.%%I', %s::text, name)) is not null
        order by place
        """,
        [list(tables), schema],
    )
    return [name for (name,) in rows]
