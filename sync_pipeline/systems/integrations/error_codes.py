"""What went wrong, in the product's codes."""

from __future__ import annotations

from enum import StrEnum

from sync_pipeline.errors import (
    Permanent,
    SourceBroken,
    SourceRefused,
    SourceUnavailable,
    SyncError,
    Transient,
)
from sync_pipeline.systems.integrations.menu.parser import NotAMenu
from sync_pipeline.systems.integrations.sites import UnusableConfig


class Code(StrEnum):
    """Codes of `integration_sync_history.error_message`, which other programs read."""

    FETCH = "FETCH_ERROR"
    FORMAT = "FORMAT_ERROR"
    SAVE = "SAVE_ERROR"
    SYNC = "SYNC_ERROR"


def code_of(error: BaseException) -> Code:
    """The code of whatever a sync failed with: by what raised it, the source or the target."""
    if isinstance(error, NotAMenu):
        return Code.FORMAT
    if isinstance(error, (SourceRefused, SourceBroken, SourceUnavailable, UnusableConfig)):
        return Code.FETCH
    return Code.SAVE if isinstance(error, SyncError) else Code.SYNC


def coded(error: SyncError) -> SyncError:
    """The same error, with its code before its words."""
    told = f"{code_of(error)}: {error}"
    return Transient(told) if isinstance(error, Transient) else Permanent(told)
