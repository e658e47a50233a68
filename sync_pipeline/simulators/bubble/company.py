"""The invented company as a whole: deterministic records of every type, ready to be served.

The entry point to the data, which `records`, `seda_links` and `data_defects` generate.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

from sync_pipeline.simulators.bubble.catalogue.types import type_name
from sync_pipeline.simulators.bubble.data_defects import (
    UnconvertibleRecord,
    plant_defects,
    plant_unconvertible,
)
from sync_pipeline.simulators.bubble.records import Record, build_records
from sync_pipeline.simulators.bubble.seda_links import PlantedLinks, link_registrations

SMALLEST_SCALE = 0.01


@dataclass(frozen=True, slots=True)
class Company:
    """All records of the app, as the Data API returns them.

    Attributes:
        seed: the seed it was made from.
        scale: its size; 1.0 is about 33,000 records.
        records: records by the name of their type in URLs.
        planted_links: planted ambiguous links, which a patch of links must not guess.
        unconvertible: the three records that cannot be converted.
    """

    seed: int
    scale: float
    records: dict[str, list[Record]]
    planted_links: PlantedLinks
    unconvertible: tuple[UnconvertibleRecord, ...]

    def of(self, kind: str) -> list[Record]:
        """The records of a type, in any spelling of its name."""
        return self.records[type_name(kind)]

    def copy(self) -> Company:
        """The same company with records of its own."""
        return replace(self, records=deepcopy(self.records))


def make_company(seed: int = 1, scale: float = 1.0) -> Company:
    """Invent a company; the same seed and scale give the same one, on any machine.

    Args:
        seed: any number; another one gives other people, links and data defects in the same proportions.
        scale: size against the full company, from 0.01.

    Raises:
        ValueError: the scale is too small to hold what has to be planted.
    """
    if scale < SMALLEST_SCALE:
        raise ValueError(f"scale {scale} is below {SMALLEST_SCALE}: too small for what is planted")
    builder = build_records(seed, scale)
    planted_links = link_registrations(builder)
    planted = _planted(planted_links)
    plant_defects(builder, excluded=planted)
    unconvertible = plant_unconvertible(builder, excluded=planted)
    return Company(seed, scale, builder.records, planted_links, unconvertible)


def _planted(planted_links: PlantedLinks) -> frozenset[str]:
    tied = planted_links.tied
    ambiguous = [
        uid for case in planted_links.ambiguous for uid in (case.invoice, *case.registrations)
    ]
    return frozenset([tied.registration, *tied.invoices, *ambiguous])
