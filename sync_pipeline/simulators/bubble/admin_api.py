"""Bubble's part of the admin API: edit records and fields from another process."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sync_pipeline.simulators.admin_api import Action, AdminApi
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.store import Store
from sync_pipeline.simulators.faults import Faults
from sync_pipeline.simulators.stats import Stats


class BubbleAdminApi(AdminApi):
    """The common routes, and those that edit records and fields."""

    def __init__(self, *, store: Store, options: Options, faults: Faults, stats: Stats) -> None:
        super().__init__(options=options, faults=faults, stats=stats)
        self._store = store

    def actions(self) -> Iterable[tuple[str, str, Action]]:
        """Routes that edit records and fields."""
        store = self._store
        return [
            ("GET", "journal", lambda _: [asdict(change) for change in store.change_log]),
            ("POST", "edit", self._edit),
            ("POST", "create", lambda body: {"id": store.create(body["type"], body["set"])}),
            ("POST", "delete", lambda body: store.delete(body["type"], body["id"])),
            ("POST", "hide-field", lambda body: store.hide_field(body["type"], body["field"])),
            ("POST", "unhide-field", lambda body: store.unhide_field(body["type"], body["field"])),
            ("POST", "rename-field", self._rename_field),
        ]

    def _edit(self, body: Any) -> None:
        values, unset = body.get("set", {}), body.get("unset", ())
        self._store.patch(body["type"], body["id"], values, unset=unset)

    def _rename_field(self, body: Any) -> None:
        self._store.rename_field(body["type"], body["field"], body["to"])
