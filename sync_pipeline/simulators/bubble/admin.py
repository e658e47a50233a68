"""The switchboard below `/_simulator`: what tests and people do to the app from another process.

The real Bubble has none of this. Each route is a thin cover over what `BubbleSimulator` offers in
its own process; bodies and replies are JSON, and what cannot be done answers 400 with the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.replies import JSONReply
from sync_pipeline.simulators.bubble.store import Store
from sync_pipeline.simulators.faults import Fault, Faults
from sync_pipeline.simulators.gate import ADMIN_PREFIX
from sync_pipeline.simulators.stats import Stats

Action = Callable[[Any], Any]


class Admin:
    """The routes of the switchboard."""

    def __init__(self, *, store: Store, options: Options, faults: Faults, stats: Stats) -> None:
        self._store = store
        self._options = options
        self._faults = faults
        self._stats = stats

    def routes(self) -> list[BaseRoute]:
        """All of them; an action takes the decoded body and returns what to reply."""
        store, faults, stats = self._store, self._faults, self._stats
        actions: list[tuple[str, str, Action]] = [
            ("GET", "options", lambda _: self._options.as_dict()),
            ("PUT", "options", self._set_options),
            ("GET", "faults", lambda _: faults.listing()),
            ("POST", "faults", self._add_faults),
            ("DELETE", "faults", lambda _: faults.clear()),
            ("GET", "stats", lambda _: stats.as_dict()),
            ("POST", "reset-stats", lambda _: stats.reset()),
            ("GET", "journal", lambda _: [asdict(change) for change in store.journal]),
            ("POST", "edit", self._edit),
            ("POST", "create", lambda body: {"id": store.create(body["type"], body["set"])}),
            ("POST", "delete", lambda body: store.delete(body["type"], body["id"])),
            ("POST", "hide-field", lambda body: store.hide_field(body["type"], body["field"])),
            ("POST", "unhide-field", lambda body: store.unhide_field(body["type"], body["field"])),
            ("POST", "rename-field", self._rename_field),
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

    def _edit(self, body: Any) -> None:
        values, unset = body.get("set", {}), body.get("unset", ())
        self._store.patch(body["type"], body["id"], values, unset=unset)

    def _rename_field(self, body: Any) -> None:
        self._store.rename_field(body["type"], body["field"], body["to"])


def _endpoint(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            body = orjson.loads(await request.body() or b"{}")
            result = action(body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return JSONReply({"error": f"{type(error).__name__}: {error}"}, 400)
        return JSONReply({"done": True} if result is None else result)

    return answer
