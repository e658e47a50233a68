"""Rows of the product's points of sale, configured sites, and sync history."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from sync_pipeline.simulators.integrations.credentials import (
    BRAND,
    ESTABLISHMENTS,
    ORDER_CHANNEL,
    ORDER_TYPE,
)

Row = dict[str, Any]

NOW: Final = datetime(2026, 10, 1, 6, tzinfo=UTC)
_IDS: Final = UUID("7b0c2f56-0f0e-4f53-9e43-5f1c1a0d7e11")


def named_id(*names: object) -> str:
    """A uuid that is the same in every run."""
    return str(uuid5(_IDS, "/".join(map(str, names))))


TYPES: Final = (
    *("revel", "toast", "par", "shift4", "simphony", "transact", "clover", "mealtracker"),
    *("webtrition", "bonappetit", "bepoz", "qu"),
)
QU: Final = named_id("source", "qu")
CONFIG_IDS: Final = tuple(named_id("config", site) for site in ESTABLISHMENTS)
_MINUTES: Final = (15, 30, 60)
_MENU: Final = "https://{}.example.com/menus?brand={{brand}}&establishment={{establishment}}"


def source_rows() -> list[Row]:
    """All points of sale; only Qu supports every kind of item."""
    return [
        {
            "id": named_id("source", kind),
            "name": kind.capitalize() if kind != "qu" else "QU POS",
            "integration_type": kind,
            "base_url_template": _MENU.format(kind),
            "auth_method": "oauth2" if kind == "qu" else "api_key",
            "required_config_fields": ["brand", "establishment"] if kind == "qu" else [],
            "formatter_name": f"{kind}_formatter",
            "supports_incremental_sync": kind == "qu",
            "supports_modifiers": kind == "qu",
            "supports_discounts": kind == "qu",
        }
        for kind in TYPES
    ]


def config_rows(number: int) -> list[Row]:
    """The first so many sites of the brand. Credentials are never in a table."""
    return [
        {
            "id": id_,
            "wand_source_id": QU,
            "config_name": f"Demo Diner {site}",
            "application_level": "site",
            "site_id": int(site),
            "config_params": {
                "brand": BRAND,
                "establishment": site,
                "order_channel": ORDER_CHANNEL,
                "order_type": ORDER_TYPE,
            },
            "sync_frequency_minutes": minutes,
            # As the old function left it: success means fetched, and the count restarts each time.
            "last_sync_at": (NOW - timedelta(days=2)).isoformat(),
            "last_sync_status": "success",
            "sync_count": 1,
        }
        for id_, site, minutes in list(zip(CONFIG_IDS, ESTABLISHMENTS, _MINUTES, strict=True))[
            :number
        ]
    ]


def history_rows(number: int) -> list[Row]:
    """One attempt for each site, which failed while saving and was left in progress."""
    started = (NOW - timedelta(days=2)).isoformat()
    return [
        {
            "id": named_id("history", site),
            "source_name": "QU POS",
            "source_config_id": id_,
            "status": "in_progress",
            "started_at": started,
            "created_at": started,
        }
        for id_, site in list(zip(CONFIG_IDS, ESTABLISHMENTS, strict=True))[:number]
    ]
