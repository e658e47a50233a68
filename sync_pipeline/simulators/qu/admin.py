"""The switchboard below `/_simulator`: what tests and people do to the gateway from another process.

Each route is a thin cover over what `QuSimulator` offers in its own process; bodies and replies are JSON, and
what cannot be done answers 400 with the reason.
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
from sync_pipeline.simulators.qu.api import Gateway, json_reply
from sync_pipeline.simulators.qu.options import Options
from sync_pipeline.simulators.qu.restaurants import Restaurants
from sync_pipeline.simulators.stats import Stats

Action = Callable[[Any], Any]


class Admin:
    """The routes of the switchboard."""

    def __init__(
        self,
        *,
        restaurants: Restaurants,
        gateway: Gateway,
        options: Options,
        faults: Faults,
        stats: Stats,
    ) -> None:
        self._restaurants = restaurants
        self._gateway = gateway
        self._options = options
        self._faults = faults
        self._stats = stats

    def routes(self) -> list[BaseRoute]:
        """All of them; an edit's body is the arguments of the method of `Restaurants` that it names."""
        restaurants, faults, stats = self._restaurants, self._faults, self._stats
        actions: list[tuple[str, str, Action]] = [
            ("GET", "options", lambda _: self._options.as_dict()),
            ("PUT", "options", self._set_options),
            ("GET", "faults", lambda _: faults.listing()),
            ("POST", "faults", self._add_faults),
            ("DELETE", "faults", lambda _: faults.clear()),
            ("GET", "stats", lambda _: stats.as_dict()),
            ("POST", "reset-stats", lambda _: stats.reset()),
            ("POST", "expire-tokens", lambda _: self._gateway.expire_tokens()),
            ("POST", "move", lambda body: {"path": restaurants.move(**body)}),
            ("POST", "reprice", lambda body: restaurants.reprice(**body)),
            ("POST", "remove", lambda body: restaurants.remove(**body)),
            ("POST", "mark-deleted", lambda body: restaurants.mark_deleted(**body)),
            ("POST", "touch", lambda body: {"generation": restaurants.touch(**body)}),
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


def _endpoint(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            result = action(orjson.loads(await request.body() or b"{}"))
        except (ArithmeticError, KeyError, TypeError, ValueError, AttributeError) as error:
            return json_reply({"error": f"{type(error).__name__}: {error}"}, 400)
        return json_reply({"done": True} if result is None else result)

    return answer
