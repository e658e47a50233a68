"""The hand-over of an embedded sign-up: its new numbers are synced at once.

The popup of the sign-up posts a message to the page that opened it, and the page passes it on. Here it
becomes a request for a partial resync, which a sensor serves through the same merge as every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sync_pipeline.errors import ConversionError
from sync_pipeline.merge.bookkeeping.requests import queue
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.meta_assets.entities import META_ASSETS, PHONE_NUMBER

TYPE = "WA_EMBEDDED_SIGNUP"


def signed_up(
    connection: Connection, workspace_id: UUID, event: Mapping[str, Any]
) -> tuple[str, ...]:
    """Ask for the resync of what a workspace has just connected.

    Args:
        connection: to the target.
        workspace_id: whose sign-up it was; from the session, never from the message.
        event: the message: `type`, `event`, and `data` with `waba_id` and, for some kinds of sign-up,
            `phone_number_id`.

    Returns:
        The keys that were asked for: the number, or the workspace where the message names none;
        nothing for a sign-up that was given up.

    Raises:
        ConversionError: it is not such a message.
    """
    if event.get("type") != TYPE:
        raise ConversionError(_refusal(f"type is {event.get('type')!r} instead of {TYPE!r}"))
    kind = event.get("event")
    if kind in ("CANCEL", "ERROR"):
        return ()
    if not isinstance(kind, str) or not kind.startswith("FINISH"):
        raise ConversionError(_refusal(f"event {kind!r} is neither FINISH… nor CANCEL"))
    data = event.get("data")
    if not isinstance(data, Mapping):
        raise ConversionError(_refusal("data is not an object"))
    account, phone = _id(data, "waba_id"), _id(data, "phone_number_id")
    if not account and not phone:
        raise ConversionError(_refusal("data names neither waba_id nor phone_number_id"))
    key = f"{workspace_id}:{phone}" if phone else str(workspace_id)
    reason = f"embedded sign-up, account {account or 'not named'}"
    queue(connection, META_ASSETS.name, PHONE_NUMBER.name, [key], reason)
    return (key,)


def _id(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None or value == "":
        return ""
    # As a JSON number it has passed through a double, and its last digits are not to be trusted.
    if not isinstance(value, str) or not (value.isascii() and value.isdecimal()):
        raise ConversionError(_refusal(f"{name} {value!r} is not a text of digits"))
    return value


def _refusal(problem: str) -> str:
    return (
        f"this is no message of an embedded sign-up: {problem}. Pass on what the popup posted, as it is;"
        " a number can also be synced by its key"
    )
