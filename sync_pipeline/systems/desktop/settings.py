"""How the desktop database is named in the environment, and what simulates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sync_pipeline.model.source_settings import GuidedEdit, SimulatedTables, SourceSettings
from sync_pipeline.settings import Variable

if TYPE_CHECKING:
    import psycopg

DSN = Variable(
    "DESKTOP_DSN",
    "libpq URI of the desktop database; the mobile database is the target",
    "postgresql://sync@desktop.internal/practice",
    secret=True,
)


def _desktop(connection: psycopg.Connection[Any], scale: float) -> bool:
    from sync_pipeline.simulators.desktop.practice import make_desktop  # noqa: PLC0415

    return make_desktop(connection, scale=scale)


def _mobile(connection: psycopg.Connection[Any], scale: float) -> bool:
    from sync_pipeline.simulators.desktop.practice import make_mobile  # noqa: PLC0415

    return make_mobile(connection, scale=scale)


SOURCE = SourceSettings(
    (DSN,),
    database=SimulatedTables("desktop's database", _desktop),
    product=SimulatedTables("mobile app's tables", _mobile),
    guided_edit=GuidedEdit("conmaster", "conname"),
)
