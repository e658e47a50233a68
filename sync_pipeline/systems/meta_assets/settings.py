"""How the Graph API is named in the environment, and what simulates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sync_pipeline.model.source_settings import SimulatedApi, SimulatedTables, SourceSettings
from sync_pipeline.settings import Variable

if TYPE_CHECKING:
    import psycopg

URL = Variable(
    "META_GRAPH_URL", "root of the Graph API with its version", "https://graph.facebook.com/v23.0"
)
TOKEN = Variable(
    "META_ACCESS_TOKEN",
    "a system user's token, for workspaces without one in `meta_tokens`",
    secret=True,
    optional=True,
)


def _messaging(connection: psycopg.Connection[Any], _: float) -> bool:
    from sync_pipeline.simulators.meta_assets.product.database import make_messaging  # noqa: PLC0415

    return make_messaging(connection)


SOURCE = SourceSettings(
    (URL, TOKEN),
    api=SimulatedApi(
        "Graph API",
        "sync_pipeline.simulators.meta_assets",
        {URL.name: "url", TOKEN.name: "token"},
        scales=False,
    ),
    product=SimulatedTables("messaging product's tables", _messaging),
)
