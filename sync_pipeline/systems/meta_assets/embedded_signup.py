"""The message of an embedded sign-up: requests a resync of the number that was connected.

The popup of the sign-up posts the message to the page that opened it, which passes it on.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sync_pipeline.errors import ConversionError
from sync_pipeline.merge.bookkeeping.requests import queue
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.meta_assets.entities import META_ASSETS, PHONE_NUMBER
from sync_pipeline.systems.resync_events import Event

TYPE = "WA_EMBEDDED_SIGNUP"


def queue_signup(
    connection: Connection, message: Mapping[str, Any], workspace_id: str
) -> list[str]:
    """Queue a resync of what a workspace has just connected.

    Args:
        connection: to the target.
        message: `type`, `event`, and `data` with `waba_id` and, for some kinds of sign-up,
            `phone_number_id`.
        workspace_id: who signed up; from the session, never from the message.

    Returns:
        The requested key: the number, or the workspace if the message names none; nothing for a
        sign-up that was canceled.

    Raises:
        ConversionError: it is not such a message, or the workspace is not a uuid.
    """
    workspace = _uuid(workspace_id)
    if message.get("type") != TYPE:
        raise ConversionError(_refusal(f"type is {message.get('type')!r} instead of {TYPE!r}"))
    kind = message.get("event")
    if kind in ("CANCEL", "ERROR"):
        return []
    if not isinstance(kind, str) or not kind.startswith("FINISH"):
        raise ConversionError(_refusal(f"event {kind!r} is neither FINISH… nor CANCEL"))
    data = message.get("data")
    if not isinstance(data, Mapping):
        raise ConversionError(_refusal("data is not an object"))
    account, phone = _id(data, "waba_id"), _id(data, "phone_number_id")
    if not account and not phone:
        raise ConversionError(_refusal("data names neither waba_id nor phone_number_id"))
    key = f"{workspace}:{phone}" if phone else workspace
    reason = f"embedded sign-up, account {account or 'not named'}"
    queue(connection, META_ASSETS.name, PHONE_NUMBER.name, [key], reason)
    return [key]


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ConversionError(f"{text!r} is not the id of a workspace, which is a uuid") from None


def _id(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None or value == "":
        return ""
    # A JSON number may have passed through a double, which does not hold all of its digits.
    if not isinstance(value, str) or not (value.isascii() and value.isdecimal()):
        raise ConversionError(_refusal(f"{name} {value!r} is not a text of digits"))
    return value


def _refusal(problem: str) -> str:
    return (
        f"this is not a message of an embedded sign-up: {problem}. Pass on what the popup posted, as it is;"
        " a number can also be synced by its key"
    )


EMBEDDED_SIGNUP = Event(
    name="embedded-signup",
    description="the message that the popup of an embedded sign-up posts",
    queue=queue_signup,
    subject="WORKSPACE",
)
