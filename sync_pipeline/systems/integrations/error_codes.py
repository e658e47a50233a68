"""The product's error codes, and which error gets which."""

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
from sync_pipeline.systems.integrations.source_configs import UnusableConfig


class Code(StrEnum):
    """Codes of `integration_sync_history.error_message`, which other programs read."""

    FETCH = "FETCH_ERROR"
    FORMAT = "FORMAT_ERROR"
    SAVE = "SAVE_ERROR"
    SYNC = "SYNC_ERROR"


def code_of(error: BaseException) -> Code:
    """The code of an error that a sync failed with: FETCH and FORMAT blame the source, SAVE the target."""
    if isinstance(error, NotAMenu):
        return Code.FORMAT
    if isinstance(error, (SourceRefused, SourceBroken, SourceUnavailable, UnusableConfig)):
        return Code.FETCH
    return Code.SAVE if isinstance(error, SyncError) else Code.SYNC


def coded(error: SyncError) -> SyncError:
    """The same error, its message prefixed with its code."""
    message = f"{code_of(error)}: {error}"
    return Transient(message) if isinstance(error, Transient) else Permanent(message)
