"""The admin API below `/_simulator`: control a simulator from another process.

The real sources have no such API. Each route calls one method of the simulator; request and response
bodies are JSON, and a call that fails is answered 400 with the reason.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from sync_pipeline.simulators.faults import Fault, Faults
from sync_pipeline.simulators.middleware import ADMIN_PREFIX
from sync_pipeline.simulators.options import SimulatorOptions
from sync_pipeline.simulators.stats import Stats

Action = Callable[[Any], Any]
"""Takes the decoded body and returns the response's; None becomes `{"done": true}`."""


class AdminApi:
    """The routes that every simulator has, and those that a subclass adds."""

    rejected: ClassVar[tuple[type[Exception], ...]] = (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    )
    """Exceptions of an action that are answered 400."""

    def __init__(self, *, options: SimulatorOptions, faults: Faults, stats: Stats) -> None:
        self._options = options
        self._faults = faults
        self._stats = stats

    def actions(self) -> Iterable[tuple[str, str, Action]]:
        """Routes that the subclass adds: method, path, action."""
        return ()

    def routes(self) -> list[BaseRoute]:
        """All routes, mounted below `ADMIN_PREFIX`."""
        faults, stats = self._faults, self._stats
        actions: list[tuple[str, str, Action]] = [
            ("GET", "options", lambda _: self._options.as_dict()),
            ("PUT", "options", self._set_options),
            ("GET", "faults", lambda _: faults.listing()),
            ("POST", "faults", self._add_faults),
            ("DELETE", "faults", lambda _: faults.clear()),
            ("GET", "stats", lambda _: stats.as_dict()),
            ("POST", "reset-stats", lambda _: stats.reset()),
            *self.actions(),
        ]
        routes = [
            Route(f"/{path}", self._endpoint(act), methods=[verb]) for verb, path, act in actions
        ]
        return [Mount(ADMIN_PREFIX, routes=routes)]

    def _set_options(self, body: Any) -> dict[str, Any]:
        self._options.update(body)
        return self._options.as_dict()

    def _add_faults(self, body: Any) -> list[dict[str, Any]]:
        given = body if isinstance(body, list) else [body]
        self._faults.add(*[Fault.parse(fault) for fault in given])
        return self._faults.listing()

    def _endpoint(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            status = 200
            try:
                result = action(orjson.loads(await request.body() or b"{}"))
            except self.rejected as error:
                status, result = 400, {"error": f"{type(error).__name__}: {error}"}
            reply = {"done": True} if result is None else result
            return Response(orjson.dumps(reply), status, media_type="application/json")

        return answer
