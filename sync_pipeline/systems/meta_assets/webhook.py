"""Meta's webhook about phone numbers: what an event says has changed is asked for anew.

Nothing is taken from the event itself. It has a warning where the list has a rating, digits where the list
has a formatted number, and often no id; written as they are, they would wipe what the list brings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, LiteralString

from psycopg import sql

from sync_pipeline.merge.bookkeeping.requests import queue
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.meta_assets.entities import META_ASSETS, PHONE_NUMBER
from sync_pipeline.systems.meta_assets.workspaces import CONNECTIONS

CHANGES = frozenset(
    {
        "phone_number_quality_update",
        "phone_number_name_update",
        "account_update",
        "account_review_update",
    }
)
"""Fields of a webhook that tell of numbers and accounts; the others are about messages."""

# A number that the cache does not have yet is found by syncing all of its workspace.
_KEYS: LiteralString = (
    "select distinct c.workspace_id::text || coalesce(':' || n.phone_number_id, '')"
    " from unnest(%s::text[], %s::text[]) told(waba_id, digits) join {connections} c using (waba_id)"
    " left join {cache} n on n.workspace_id = c.workspace_id and n.phone_number_id is not null"
    " and told.digits <> '' and regexp_replace(n.display_phone_number, '\\D', '', 'g') = told.digits"
    " where c.workspace_id is not null order by 1"
)


def notified(connection: Connection, payload: Mapping[str, Any]) -> list[str]:
    """Ask for the resync of the numbers that a webhook is about.

    Args:
        connection: to the target.
        payload: the body of the webhook, after its signature was checked.

    Returns:
        The keys that were asked for; none for webhooks about anything else, or about accounts that no
        workspace has connected.
    """
    told = sorted(set(_told(payload)))
    if not told:
        return []
    query = sql.SQL(_KEYS).format(
        connections=sql.Identifier(PHONE_NUMBER.schema, CONNECTIONS),
        cache=sql.Identifier(PHONE_NUMBER.schema, PHONE_NUMBER.table),
    )
    accounts, digits = [list(column) for column in zip(*told, strict=True)]
    keys = [key for (key,) in connection.execute(query, [accounts, digits])]
    if keys:
        reason = f"webhook, account {', '.join(sorted(set(accounts)))}"
        queue(connection, META_ASSETS.name, PHONE_NUMBER.name, keys, reason)
    return keys


def _told(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Accounts and the digits of a number of theirs; no digits: any of them."""
    for entry in _objects(payload.get("entry")):
        for change in _objects(entry.get("changes")):
            value = change.get("value")
            if change.get("field") in CHANGES and isinstance(value, Mapping):
                number = str(value.get("display_phone_number") or value.get("phone_number") or "")
                yield str(entry.get("id")), re.sub(r"\D", "", number)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))
