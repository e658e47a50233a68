"""The switchboard below `/_simulator`: what tests and people do to the accounts from another process.

The real Graph API has none of this. Each route is a thin cover over what `MetaSimulator` offers in
its own process; bodies and replies are JSON, and what cannot be done answers 400 with the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from sync_pipeline.simulators.faults import Fault, Faults
from sync_pipeline.simulators.gate import ADMIN_PREFIX
from sync_pipeline.simulators.meta.accounts import Accounts
from sync_pipeline.simulators.meta.errors import ArmedErrors, GraphError
from sync_pipeline.simulators.meta.options import Options
from sync_pipeline.simulators.stats import Stats

Action = Callable[[Any], Any]


class Admin:
    """The routes of the switchboard."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        options: Options,
        armed: ArmedErrors,
        faults: Faults,
        stats: Stats,
    ) -> None:
        self._accounts = accounts
        self._options = options
        self._armed = armed
        self._faults = faults
        self._stats = stats

    def routes(self) -> list[BaseRoute]:
        """All of them; an action takes the decoded body and returns what to reply."""
        accounts, faults, stats = self._accounts, self._faults, self._stats
        actions: list[tuple[str, str, Action]] = [
            ("GET", "options", lambda _: self._options.as_dict()),
            ("PUT", "options", self._set_options),
            ("GET", "faults", lambda _: faults.listing()),
            ("POST", "faults", self._add_faults),
            ("DELETE", "faults", lambda _: faults.clear()),
            ("POST", "errors", self._arm),
            ("DELETE", "errors", lambda _: self._armed.clear()),
            ("GET", "stats", lambda _: stats.as_dict()),
            ("POST", "reset-stats", lambda _: stats.reset()),
            ("POST", "connect", self._connect),
            ("POST", "add", lambda b: accounts.add(b["waba"], b["phone"], b.get("set"))),
            ("POST", "change", lambda b: accounts.change(b["phone"], **b["set"])),
            ("POST", "remove", lambda b: accounts.remove(b["phone"])),
            ("POST", "break-token", lambda b: accounts.break_token(**b)),
            ("POST", "mend-token", lambda b: accounts.mend_token(b["token"])),
            ("POST", "withhold", lambda b: accounts.withhold(b["token"])),
        ]
        routes = [Route(f"/{path}", _endpoint(act), methods=[verb]) for verb, path, act in actions]
        return [Mount(ADMIN_PREFIX, routes=routes)]

    def _set_options(self, body: Any) -> dict[str, Any]:
        self._options.update(body)
        return self._options.as_dict()

    def _add_faults(self, body: Any) -> list[dict[str, Any]]:
        given = body if isinstance(body, list) else [body]
        self._faults.add(*[Fault.parse(fault) for fault in given])
        return self._faults.listing()

    def _arm(self, body: Any) -> None:
        error = GraphError.parse(body["error"])
        self._armed.arm(
            error, times=body.get("times"), path=body.get("path", ""), token=body.get("token")
        )

    def _connect(self, body: Any) -> None:
        self._accounts.connect(
            body["waba"], tuple(body["phones"]), body["token"], body.get("code", "")
        )


def _endpoint(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        status = 200
        try:
            result = action(orjson.loads(await request.body() or b"{}"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            status, result = 400, {"error": f"{type(error).__name__}: {error}"}
        reply = {"done": True} if result is None else result
        return Response(orjson.dumps(reply), status, media_type="application/json")

    return answer
