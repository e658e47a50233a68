"""The invented company as a whole: deterministic records of every type, ready to be served.

This is the way in to the data. How it comes about is in `growth`, `claims` and `dirt`.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

from sync_pipeline.simulators.bubble.catalogue.types import type_name
from sync_pipeline.simulators.bubble.data_defects import BeyondUse, spoil, spoil_beyond_use
from sync_pipeline.simulators.bubble.records import Record, grow
from sync_pipeline.simulators.bubble.seda_links import Claims, claim

SMALLEST_SCALE = 0.01


@dataclass(frozen=True, slots=True)
class Company:
    """All records of the app, as the Data API returns them.

    Attributes:
        seed: the seed it was made from.
        scale: its size; 1.0 is about 33,000 records.
        records: records by the name of their type in URLs.
        claims: the planted cases that a repair of links must not guess at.
        beyond_use: the three records that cannot be converted.
    """

    seed: int
    scale: float
    records: dict[str, list[Record]]
    claims: Claims
    beyond_use: tuple[BeyondUse, ...]

    def of(self, kind: str) -> list[Record]:
        """The records of a type, in any spelling of its name."""
        return self.records[type_name(kind)]

    def copy(self) -> Company:
        """The same company with records of its own."""
        return replace(self, records=deepcopy(self.records))


def make_company(seed: int = 1, scale: float = 1.0) -> Company:
    """Invent a company; the same seed and scale give the same one, on any machine.

    Args:
        seed: any number; another one gives other people, links and dirt of the same proportions.
        scale: size against the full company, from 0.01.

    Raises:
        ValueError: the scale is too small to hold what has to be planted.
    """
    if scale < SMALLEST_SCALE:
        raise ValueError(f"scale {scale} is below {SMALLEST_SCALE}: too small for what is planted")
    world = grow(seed, scale)
    claims = claim(world)
    planted = _planted(claims)
    spoil(world, sparing=planted)
    beyond_use = spoil_beyond_use(world, sparing=planted)
    return Company(seed, scale, world.records, claims, beyond_use)


def _planted(claims: Claims) -> frozenset[str]:
    tied = claims.tied
    disputed = [uid for case in claims.disputed for uid in (case.invoice, *case.registrations)]
    return frozenset([tied.registration, *tied.invoices, *disputed])
