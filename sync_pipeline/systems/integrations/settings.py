"""How the point-of-sale gateway is named in the environment, and what simulates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sync_pipeline.model.source_settings import SimulatedApi, SimulatedTables, SourceSettings
from sync_pipeline.settings import Variable

if TYPE_CHECKING:
    import psycopg

URL = Variable(
    "QU_API_URL",
    "root of the point-of-sale gateway, without `/api/v4`",
    "https://gateway-api.qubeyond.com",
)
CLIENT_ID = Variable("QU_CLIENT_ID", "client id of the integration", secret=True)
CLIENT_SECRET = Variable("QU_CLIENT_SECRET", "client secret of the integration", secret=True)
INTEGRATION = Variable(
    "QU_INTEGRATION", "the header `X-Integration`, where the gateway asks for it", optional=True
)


def _signage(connection: psycopg.Connection[Any], scale: float) -> bool:
    from sync_pipeline.simulators.integrations.product.database import make_signage  # noqa: PLC0415

    return make_signage(connection, scale=scale)


SOURCE = SourceSettings(
    (URL, CLIENT_ID, CLIENT_SECRET, INTEGRATION),
    api=SimulatedApi(
        "point-of-sale gateway",
        "sync_pipeline.simulators.integrations",
        {URL.name: "url", CLIENT_ID.name: "client_id", CLIENT_SECRET.name: "client_secret"},
    ),
    product=SimulatedTables("signage product's tables", _signage),
)
