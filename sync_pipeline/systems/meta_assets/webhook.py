"""Meta's webhook about phone numbers: requests a resync of the numbers that an event is about.

Nothing is taken from the event itself. It has a warning where the list has a rating, digits where the list
has a formatted number, and often no id; written as they are, they would erase what the list brings.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, LiteralString

from psycopg import sql

from sync_pipeline.merge.bookkeeping.requests import queue
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.meta_assets.entities import META_ASSETS, PHONE_NUMBER
from sync_pipeline.systems.meta_assets.workspaces import CONNECTIONS, present_tables
from sync_pipeline.systems.resync_events import Event

CHANGES = frozenset(
    {
        "phone_number_quality_update",
        "phone_number_name_update",
        "account_update",
        "account_review_update",
    }
)
"""Fields of a webhook that concern numbers and accounts; the others are about messages."""

# A number that is not cached yet has no id here: the key is its workspace, which is synced as a whole.
_KEYS: LiteralString = r"""
    select distinct c.workspace_id::text || coalesce(':' || n.phone_number_id, '')
    from unnest(%s::text[], %s::text[]) changed(waba_id, digits)
    join {connections} c using (waba_id)
    left join {cache} n
        on n.workspace_id = c.workspace_id
        and n.phone_number_id is not null
        and changed.digits <> ''
        and regexp_replace(n.display_phone_number, '\D', '', 'g') = changed.digits
    where c.workspace_id is not null
    order by 1
"""


def queue_webhook(connection: Connection, body: Mapping[str, Any]) -> list[str]:
    """Queue a resync of the numbers that a webhook is about.

    Args:
        connection: to the target.
        body: of the webhook, after its signature was checked.

    Returns:
        The requested keys; none if the webhook is about anything else, or about accounts that no workspace
        has connected.
    """
    changes = sorted(set(_changes(body)))
    if not changes or not present_tables(connection, PHONE_NUMBER.schema, [CONNECTIONS]):
        return []
    query = sql.SQL(_KEYS).format(
        connections=sql.Identifier(PHONE_NUMBER.schema, CONNECTIONS),
        cache=sql.Identifier(PHONE_NUMBER.schema, PHONE_NUMBER.table),
    )
    accounts, digits = [list(column) for column in zip(*changes, strict=True)]
    keys = [key for (key,) in connection.execute(query, [accounts, digits])]
    if keys:
        reason = f"webhook, account {', '.join(sorted(set(accounts)))}"
        queue(connection, META_ASSETS.name, PHONE_NUMBER.name, keys, reason)
    return keys


def _changes(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Accounts with the digits of the number that changed; without digits: any of their numbers."""
    for entry in _objects(body.get("entry")):
        for change in _objects(entry.get("changes")):
            value = change.get("value")
            if change.get("field") in CHANGES and isinstance(value, Mapping):
                number = str(value.get("display_phone_number") or value.get("phone_number") or "")
                yield str(entry.get("id")), re.sub(r"\D", "", number)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


WHATSAPP_WEBHOOK = Event(
    name="whatsapp-webhook",
    description="the body of Meta's webhook, whose signature the receiver has checked",
    queue=lambda connection, body, _: queue_webhook(connection, body),
)
