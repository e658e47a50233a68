"""The product's customers: a workspace for each account of the Graph API, and one whose token is bad."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from sync_pipeline.simulators.meta_assets.credentials import PHONES, TOKENS

Row = dict[str, Any]

NOW: Final = datetime(2026, 10, 1, 6, tzinfo=UTC)
BAD_WABA: Final = "111222333444555"
BAD_TOKEN: Final = "EAAGdemoRevokedToken00"  # noqa: S105  invented
KNOWN_PHONES: Final = 5
"""Of each account; the others appear with the first sync."""
_IDS: Final = UUID("2f4d8a52-6a0b-4d9a-9a55-1d0f6f1a8c37")
_NAMES: Final = ("North Star Tours", "South Pier Clinic", "Harbour Bakery", "Willow Repairs")
_ROLES: Final = ("owner", "admin", "member")


def named_id(*names: object) -> str:
    """A uuid that is the same in every run."""
    return str(uuid5(_IDS, "/".join(map(str, names))))


ACCOUNTS: Final = (*TOKENS.items(), (BAD_WABA, BAD_TOKEN))
WORKSPACES: Final = {waba: named_id("workspace", waba) for waba, _ in ACCOUNTS}
"""Workspace by account."""


def user_of(waba: str, role: str) -> str:
    """The member of an account's workspace who has this role."""
    return named_id("user", waba, role)


def workspace_rows() -> list[Row]:
    """One for each account."""
    return [
        {"id": id_, "name": name} for id_, name in zip(WORKSPACES.values(), _NAMES, strict=True)
    ]


def membership_rows() -> list[Row]:
    """An owner, an admin and a plain member in each."""
    return [
        {"workspace_id": id_, "user_id": user_of(waba, role), "role": role}
        for waba, id_ in WORKSPACES.items()
        for role in _ROLES
    ]


def token_rows() -> list[Row]:
    """Tokens in plain text, despite the name of their column."""
    return [
        {
            "id": named_id("token", waba),
            "workspace_id": WORKSPACES[waba],
            "provider": "meta_system_user",
            "token_encrypted": token,
        }
        for waba, token in ACCOUNTS
    ]


def connection_rows() -> list[Row]:
    """Each workspace is connected to its account by one number."""
    return [
        {
            "id": named_id("connection", waba),
            "workspace_id": id_,
            "waba_id": waba,
            "phone_number_id": _phones(waba)[0],
        }
        for waba, id_ in WORKSPACES.items()
    ]


def cache_rows(*, repeated: bool) -> list[Row]:
    """Rows of the cache by its five writers.

    Args:
        repeated: with the duplicates that the lack of a unique index allows. Rows without a number are
            always there: each business lookup inserts another one.
    """
    rows = [
        row
        for waba in WORKSPACES
        for place, phone in enumerate(_phones(waba)[:KNOWN_PHONES])
        for row in _entries(waba, phone, place, repeated=repeated)
    ]
    return [*rows, *_lookups(next(iter(WORKSPACES)))]


def _phones(waba: str) -> tuple[str, ...]:
    return PHONES.get(waba, (f"{waba}01",))


def _entries(waba: str, phone: str, place: int, *, repeated: bool) -> list[Row]:
    newest = _entry(waba, phone, "sync", NOW - timedelta(hours=place))
    # The newest row of the first number is by a webhook, which has no rating.
    newest |= {"quality_rating": None} if place == 0 else {}
    if not repeated or place > 1:
        return [newest]
    older = _entry(waba, phone, "sign-up", NOW - timedelta(days=9))
    older |= {"business_id": f"biz-{waba[-4:]}", "last_error": "HTTP 500: try again"}
    oldest = _entry(waba, phone, "lookup", NOW - timedelta(days=40))
    oldest |= {"verified_name": f"Former name {place}", "quality_rating": "YELLOW"}
    return [newest, older, oldest] if place == 0 else [newest, older]


def _entry(waba: str, phone: str, writer: str, at: datetime) -> Row:
    return {
        "id": named_id("cache", phone, writer),
        "workspace_id": WORKSPACES[waba],
        "business_id": None,
        "waba_id": waba,
        "phone_number_id": phone,
        "display_phone_number": f"+1 555 01{phone[-2:]}",
        "verified_name": f"Demo line {phone[-4:]}",
        "quality_rating": "GREEN",
        "updated_at": at.isoformat(),
        "last_synced_at": at.isoformat(),
        "last_error": None,
    }


def _lookups(waba: str) -> list[Row]:
    """Rows with a business and no number: three, of two businesses."""
    empty = dict.fromkeys(_entry(waba, "0000", "none", NOW))
    return [
        empty
        | {
            "id": named_id("lookup", place),
            "workspace_id": WORKSPACES[waba],
            "business_id": business,
            "updated_at": (NOW - timedelta(days=place)).isoformat(),
        }
        for place, business in enumerate(("biz-1", "biz-2", "biz-2"))
    ]
