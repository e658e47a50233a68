"""The source configurations: whose menu is asked for, and for which row of the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sync_pipeline.errors import Permanent


class UnusableConfig(Permanent):
    """A source configuration lacks a parameter, or has one that cannot be sent."""


@dataclass(frozen=True, kw_only=True)
class SiteConfig:
    """One row of `integration_source_configs`, as far as reading a menu needs it.

    Attributes:
        config_id: the row's id, a uuid.
        wand_source_id: the point of sale that it configures, a uuid.
        name: what people call it.
        application_level: what the menu is for; the id of that level is set, the others are None.
        concept_id: of the concept.
        company_id: of the company.
        site_id: of the site.
        params: `config_params` of the row: what the point of sale wants to know.
    """

    config_id: str
    wand_source_id: str
    name: str
    application_level: Literal["concept", "company", "site"]
    concept_id: int | None = None
    company_id: int | None = None
    site_id: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def param(self, key: str, default: str | None = None) -> str:
        """A parameter as text.

        Raises:
            UnusableConfig: it is missing, and has no default, or it cannot stand in an HTTP header.
        """
        value = self.params.get(key)
        text = "" if value is None or isinstance(value, dict | list) else str(value).strip()
        text = text or default or ""
        if not text:
            raise UnusableConfig(
                f"The source configuration “{self.name}” ({self.config_id}) has no “{key}” in its "
                f"config_params. Set it to what the point of sale calls this {self.application_level}."
            )
        if not text.isascii() or not text.isprintable():
            raise UnusableConfig(
                f"The source configuration “{self.name}” ({self.config_id}) has a “{key}” in its "
                "config_params with characters that no id has. Set it anew."
            )
        return text

    @property
    def target(self) -> dict[str, str | int | None]:
        """What every record of its menu carries: whose it is."""
        return {
            "wand_source_id": self.wand_source_id,
            "source_config_id": self.config_id,
            "concept_id": self.concept_id,
            "company_id": self.company_id,
            "site_id": self.site_id,
        }
