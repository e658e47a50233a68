"""Every exception that this project raises on purpose, by what a caller can do about it.

    SyncError
    ├── Permanent                trying again changes nothing
    │   ├── SettingsError        a variable is missing or wrong
    │   ├── SourceRefused        401, 403 or 404: credentials, permission or name
    │   ├── SourceBroken         an answer that is not the protocol: cut body, wrong shape
    │   ├── TargetNotPrepared    the target lacks a table, column or unique index
    │   ├── TargetRefused        the target refuses a statement: a permission, a missing object
    │   ├── StoppedByGuard       the plan is out of proportion; nothing was written
    │   └── Imbalance            the accounting identity does not hold; nothing was written
    ├── Transient                the same call may succeed later
    │   ├── SourceUnavailable    retries were used up within the time budget
    │   ├── TargetUnavailable    the target did not come back within its own
    │   └── EntityBusy           another run holds this entity
    └── ConversionError          one value of one record; the record is rejected, the run goes on

`DeclarationError` stands beside them: it is a mistake in the code that declares entities, raised
at import.
"""


class SyncError(Exception):
    """Base of all; the message names what failed, why, and what to do."""


class Permanent(SyncError):
    """Trying again changes nothing."""


class SettingsError(Permanent):
    """An environment variable is missing or cannot be used."""


class SourceRefused(Permanent):
    """The source refused: 401, 403 or 404."""


class SourceBroken(Permanent):
    """The source's response violates its protocol."""


class TargetNotPrepared(Permanent):
    """The target lacks something that a run needs; `doctor` prints the fix."""


class TargetRefused(Permanent):
    """The target refused a statement for a reason that trying again does not change."""


class Imbalance(Permanent):
    """Not every record read ended in exactly one count."""


class StoppedByGuard(Permanent):
    """A plan exceeded its impact budget and was not applied.

    Attributes:
        digest: names exactly this plan; `--approve DIGEST` lets it pass.
    """

    def __init__(self, message: str, *, digest: str) -> None:
        super().__init__(message)
        self.digest = digest


class Transient(SyncError):
    """The same call may succeed later."""


class SourceUnavailable(Transient):
    """The source kept failing until the time budget was used up."""


class TargetUnavailable(Transient):
    """The target database kept failing until the retries were used up."""


class EntityBusy(Transient):
    """Another run holds the entity's advisory lock."""


class ConversionError(SyncError):
    """A value cannot be converted to its field's type."""


class DeclarationError(ValueError):
    """An entity is declared wrongly; the message names the literal and its line."""
