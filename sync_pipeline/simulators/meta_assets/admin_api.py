"""The admin API below `/_simulator`: edits accounts and errors from another process."""

from collections.abc import Iterable
from typing import Any

from sync_pipeline.simulators.admin_api import Action, AdminApi
from sync_pipeline.simulators.faults import Faults
from sync_pipeline.simulators.meta_assets.accounts import Accounts
from sync_pipeline.simulators.meta_assets.errors import ArmedErrors, GraphError
from sync_pipeline.simulators.meta_assets.options import Options
from sync_pipeline.simulators.stats import Stats


class Admin(AdminApi):
    """The routes of the admin API."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        options: Options,
        armed: ArmedErrors,
        faults: Faults,
        stats: Stats,
    ) -> None:
        super().__init__(options=options, faults=faults, stats=stats)
        self._accounts = accounts
        self._armed = armed

    def actions(self) -> Iterable[tuple[str, str, Action]]:
        """Edits of accounts, and the errors of their replies."""
        accounts = self._accounts
        return [
            ("POST", "errors", self._arm),
            ("DELETE", "errors", lambda _: self._armed.clear()),
            ("POST", "connect", self._connect),
            ("POST", "add", lambda b: accounts.add(b["waba"], b["phone"], b.get("set"))),
            ("POST", "change", lambda b: accounts.change(b["phone"], **b["set"])),
            ("POST", "remove", lambda b: accounts.remove(b["phone"])),
            ("POST", "break-token", lambda b: accounts.break_token(**b)),
            ("POST", "restore-token", lambda b: accounts.restore_token(b["token"])),
            ("POST", "withhold", lambda b: accounts.withhold(b["token"])),
        ]

    def _arm(self, body: Any) -> None:
        error = GraphError.parse(body["error"])
        self._armed.arm(
            error, times=body.get("times"), path=body.get("path", ""), token=body.get("token")
        )

    def _connect(self, body: Any) -> None:
        self._accounts.connect(
            body["waba"], tuple(body["phones"]), body["token"], body.get("code", "")
        )
