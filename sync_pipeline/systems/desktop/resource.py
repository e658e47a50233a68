"""The desktop database as the target of the reverse sync."""

from typing import ClassVar

from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.settings import Settings
from sync_pipeline.systems.desktop.connection import check_reverse, open_desktop


class DesktopDatabase(TargetDatabase):
    """The desktop database as a target; its bookkeeping keeps to the schemas `sync` and `sync_base`."""

    key: ClassVar[str] = "desktop_target"

    def _open(self, settings: Settings, name: str) -> Connection:
        check_reverse(settings)
        return open_desktop(settings, name)
