"""The switchboard below `/_simulator`: what tests and people do to the app from another process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sync_pipeline.simulators.admin_api import Action, Switchboard
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.store import Store
from sync_pipeline.simulators.faults import Faults
from sync_pipeline.simulators.stats import Stats


class Admin(Switchboard):
    """The routes of the switchboard."""

    def __init__(self, *, store: Store, options: Options, faults: Faults, stats: Stats) -> None:
        super().__init__(options=options, faults=faults, stats=stats)
        self._store = store

    def actions(self) -> Iterable[tuple[str, str, Action]]:
        """What is done to the records."""
        store = self._store
        return [
            ("GET", "journal", lambda _: [asdict(change) for change in store.journal]),
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
