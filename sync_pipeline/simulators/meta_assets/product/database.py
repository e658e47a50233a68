"""Fills a database with the messaging product's tables."""

from typing import Any

import psycopg

from sync_pipeline.simulators.insert_rows import insert
from sync_pipeline.simulators.meta_assets.product import rows as customers
from sync_pipeline.simulators.meta_assets.product.schema import Guard, create


def make_messaging(
    connection: psycopg.Connection, *, guard: Guard = "none", dated: bool = True
) -> bool:
    """Create the product's tables, and fill them if it has no workspace yet.

    Args:
        connection: a session on the database; all happens in one transaction of it.
        guard: what keeps the cache free of duplicates; see `schema`. With one that works there are none.
        dated: whether the cache has last_synced_at and last_error, which came later.

    Returns:
        Whether it was filled.
    """
    with connection.transaction():
        create(connection, guard, dated=dated)
        found = connection.execute("select exists (select from workspaces)").fetchone()
        if found is None or found[0]:
            return False
        insert(connection, "workspaces", customers.workspace_rows())
        insert(connection, "workspace_memberships", customers.membership_rows())
        insert(connection, "meta_tokens", customers.token_rows())
        insert(connection, "meta_whatsapp_connections", customers.connection_rows())
        insert(connection, "meta_assets_cache", _cached(guard, dated=dated))
        connection.execute("analyze meta_assets_cache")
    return True


def _cached(guard: Guard, *, dated: bool) -> list[dict[str, Any]]:
    rows = customers.cache_rows(repeated=guard in {"none", "named"})
    if dated:
        return rows
    later = {"last_synced_at", "last_error"}
    return [{name: v for name, v in row.items() if name not in later} for row in rows]
