"""What a run covers and how far it may go."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["delta", "full", "keys", "range"]


@dataclass(frozen=True)
class Scope:
    """The scope of one run.

    Attributes:
        mode: `delta` reads what changed since the watermark, `full` everything, `keys` the records
            named in `keys`, `range` those modified from `since` to `until`, both included.
        keys: source keys, for `keys`.
        of: the entity that keys and range refer to; every selected entity is then read as far as it
            belongs to those records. Empty: each selected entity's own records.
        since: start of the range.
        until: end of the range; None means now.
        force: re-assert the source on mapped fields, never on other owners' rows or local columns.
        dry_run: stop after the plan; nothing of the target is written.
        partition: of a partitioned entity, the one that this read covers; empty: all.
        approve: digests of plans that may pass the guard.
    """

    mode: Mode = "delta"
    keys: tuple[str, ...] = ()
    of: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    force: bool = False
    dry_run: bool = False
    partition: str = ""
    approve: frozenset[str] = field(default_factory=frozenset)

    @property
    def moves_watermark(self) -> bool:
        """Whether a run of this scope has seen everything up to the moment that it began."""
        return self.mode in {"delta", "full"}
