"""Source configurations: whose menus are synced, as the product keeps them on the target."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.orchestration.partitions import Partition
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.sites import SiteConfig

READ_HERE = "qu"
"""The one type of point of sale that there is a client for."""
EVERY = dt.timedelta(minutes=15)
"""How often a configuration is synced that does not say so itself."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """A row of `integration_source_configs`.

    Attributes:
        site: what reading its menu needs.
        source_name: name of its point of sale.
        every: how often it is synced.
        synced_at: when it last was, whichever way that ended; None before the first time.
        closed: why it is not synced; empty when it is.
    """

    site: SiteConfig
    source_name: str
    every: dt.timedelta
    synced_at: dt.datetime | None
    closed: str = ""

    @property
    def part(self) -> Partition:
        """The configuration as a part of the tables."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.site.name.lower()).strip("-") or "site"
        key = f"{plain}-{self.site.config_id[:8]}"
        return Partition(key, self.site.config_id, self.site.name, self.closed)

    def due(self, now: dt.datetime) -> bool:
        """Whether it is time to sync it again."""
        return not self.closed and (self.synced_at is None or now - self.synced_at >= self.every)


def configurations(connection: Connection) -> list[SourceConfig]:
    """All source configurations by name.

    Raises:
        TargetNotPrepared: the product's tables are not on this target.
    """
    there = connection.execute(
        "select to_regclass('integration_source_configs') is not null"
        " and to_regclass('wand_integration_sources') is not null"
    ).fetchone()
    if not there or not there[0]:
        raise TargetNotPrepared(
            "the target has no tables integration_source_configs and wand_integration_sources, in which the"
            " product keeps what is to be synced; create them with the product's own migrations, or name its"
            " database in SYNC_TARGET_DSN"
        )
    with connection.cursor(row_factory=dict_row) as cursor:
        return list(_read(cursor.execute(_ALL).fetchall()))


_ALL = """
select c.id::text, c.wand_source_id::text, c.config_name, c.application_level, c.concept_id, c.company_id,
    c.site_id, coalesce(c.config_params, '{}') as params, c.is_active, c.last_sync_at,
    coalesce(nullif(c.sync_frequency_minutes, 0), s.default_sync_frequency_minutes) as minutes,
    s.name as source_name, s.integration_type, s.status
from integration_source_configs c
left join wand_integration_sources s on s.id = c.wand_source_id
order by c.config_name, c.id
"""


def _read(rows: list[dict[str, Any]]) -> Iterator[SourceConfig]:
    for row in rows:
        site = SiteConfig(
            config_id=row["id"],
            wand_source_id=row["wand_source_id"],
            name=row["config_name"],
            application_level=row["application_level"],
            concept_id=row["concept_id"],
            company_id=row["company_id"],
            site_id=row["site_id"],
            params=row["params"],
        )
        minutes = row["minutes"]
        yield SourceConfig(
            site=site,
            source_name=row["source_name"] or "unknown",
            every=dt.timedelta(minutes=minutes) if minutes else EVERY,
            synced_at=row["last_sync_at"],
            closed=_closed(row),
        )


def _closed(row: dict[str, Any]) -> str:
    if not row["is_active"]:
        return "INACTIVE_CONFIG: the configuration is switched off; set its is_active to sync it"
    if row["integration_type"] is None:
        return "its wand_source_id names no row of wand_integration_sources"
    if row["integration_type"] != READ_HERE:
        return f"there is no client for {row['integration_type']} yet, only for {READ_HERE}"
    return ""


def parts(connection: Connection) -> list[Partition]:
    """The configurations as parts of the tables."""
    return [config.part for config in configurations(connection)]
