"""Source configurations: the rows of the target that name the menus to sync. No Dagster here."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg.rows import dict_row

from sync_pipeline.errors import Permanent, TargetNotPrepared
from sync_pipeline.postgres.connect import Connection

SUPPORTED_TYPE = "qu"
"""The one type of point of sale that there is a client for."""
DEFAULT_INTERVAL = dt.timedelta(minutes=15)


class UnusableConfig(Permanent):
    """A source configuration lacks a parameter, or has one that cannot be sent."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """A row of `integration_source_configs`.

    Attributes:
        config_id: the row's id, a uuid.
        wand_source_id: the point of sale that it configures, a uuid.
        name: for people.
        application_level: what the menu is for; the id of that level is set, the others are None.
        concept_id: of the concept.
        company_id: of the company.
        site_id: of the site.
        params: `config_params` of the row: parameters of the request.
        interval: how often it is synced.
        synced_at: when its last sync ended, successful or not; None before the first.
        closed: why it is not synced; empty if it is.
    """

    config_id: str
    wand_source_id: str
    name: str
    application_level: Literal["concept", "company", "site"]
    concept_id: int | None = None
    company_id: int | None = None
    site_id: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    interval: dt.timedelta = DEFAULT_INTERVAL
    synced_at: dt.datetime | None = None
    closed: str = ""

    @property
    def partition_key(self) -> str:
        """The configuration's partition in Dagster."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "site"
        return f"{slug}-{self.config_id[:8]}"

    @property
    def row_values(self) -> dict[str, str | int | None]:
        """Column values that every row of its menu carries."""
        return {
            "wand_source_id": self.wand_source_id,
            "source_config_id": self.config_id,
            "concept_id": self.concept_id,
            "company_id": self.company_id,
            "site_id": self.site_id,
        }

    def due(self, now: dt.datetime) -> bool:
        """Whether the interval has passed since the last sync."""
        return not self.closed and (self.synced_at is None or now - self.synced_at >= self.interval)

    def param(self, key: str, default: str | None = None) -> str:
        """A parameter as text.

        Raises:
            UnusableConfig: it is missing and has no default, or an HTTP header cannot hold it.
        """
        value = self.params.get(key)
        text = "" if value is None or isinstance(value, dict | list) else str(value).strip()
        text = text or default or ""
        if not text:
            raise UnusableConfig(
                f"The source configuration “{self.name}” ({self.config_id}) has no “{key}” in its "
                f"config_params. Set it to the point of sale's id of this {self.application_level}."
            )
        if not text.isascii() or not text.isprintable():
            raise UnusableConfig(
                f"The source configuration “{self.name}” ({self.config_id}) has a “{key}” in its "
                "config_params with characters that no id has. Set it again."
            )
        return text


def configurations(connection: Connection) -> list[SourceConfig]:
    """All source configurations by name.

    Raises:
        TargetNotPrepared: the product's tables are not on this target.
    """
    present = connection.execute(_TABLES_PRESENT).fetchone()
    if not present or not present[0]:
        raise TargetNotPrepared(
            "the target has no tables integration_source_configs and wand_integration_sources, in which the"
            " product keeps what is to be synced; create them with the product's own migrations, or name its"
            " database in SYNC_TARGET_DSN"
        )
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_config(row) for row in cursor.execute(_ALL)]


_TABLES_PRESENT = """
    select to_regclass('integration_source_configs') is not null
        and to_regclass('wand_integration_sources') is not null
"""

_ALL = """
    select c.id::text, c.wand_source_id::text, c.config_name, c.application_level,
        c.concept_id, c.company_id, c.site_id,
        coalesce(c.config_params, '{}') as params, c.is_active, c.last_sync_at,
        coalesce(nullif(c.sync_frequency_minutes, 0), s.default_sync_frequency_minutes) as minutes,
        s.integration_type
    from integration_source_configs c
    left join wand_integration_sources s on s.id = c.wand_source_id
    order by c.config_name, c.id
"""


def _config(row: dict[str, Any]) -> SourceConfig:
    minutes = row["minutes"]
    return SourceConfig(
        config_id=row["id"],
        wand_source_id=row["wand_source_id"],
        name=row["config_name"],
        application_level=row["application_level"],
        concept_id=row["concept_id"],
        company_id=row["company_id"],
        site_id=row["site_id"],
        params=row["params"],
        interval=dt.timedelta(minutes=minutes) if minutes else DEFAULT_INTERVAL,
        synced_at=row["last_sync_at"],
        closed=_closed(row),
    )


def _closed(row: dict[str, Any]) -> str:
    if not row["is_active"]:
        return "INACTIVE_CONFIG: the configuration is switched off; set its is_active to sync it"
    if row["integration_type"] is None:
        return "its wand_source_id names no row of wand_integration_sources"
    if row["integration_type"] != SUPPORTED_TYPE:
        return f"there is no client for {row['integration_type']} yet, only for {SUPPORTED_TYPE}"
    return ""
