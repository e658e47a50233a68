"""Base class of the simulators: a server on a port of its own, with an admin API."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import Scope

from sync_pipeline.simulators.clock import Clock
from sync_pipeline.simulators.faults import Call, Faults
from sync_pipeline.simulators.middleware import ADMIN_PREFIX, SimulatorMiddleware
from sync_pipeline.simulators.options import SimulatorOptions
from sync_pipeline.simulators.server import BackgroundServer
from sync_pipeline.simulators.stats import Stats

Options = TypeVar("Options", bound=SimulatorOptions)


class Simulator(Generic[Options]):
    """Listens from `start` to `stop`, or within a `with` block; a restart uses the same port.

    Attributes:
        options: assign to their attributes at any time.
        faults: arm faults with `faults.add(Fault(...))`.
        stats: counts calls since the start or the last `stats.reset()`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.faults = Faults()
        self.stats = Stats()

    def _serve(
        self,
        routes: Iterable[BaseRoute],
        *,
        classify: Callable[[Scope], Call],
        clock: Clock,
        host: str,
        port: int,
        **app: Any,
    ) -> None:
        """Put the protocol's routes behind the middleware; `app` goes to Starlette."""
        middleware = SimulatorMiddleware(
            Starlette(routes=list(routes), **app),
            options=self.options,
            faults=self.faults,
            stats=self.stats,
            clock=clock,
            classify=classify,
        )
        self._server = BackgroundServer(middleware, host=host, port=port)

    @property
    def admin_url(self) -> str:
        """The root of the admin API."""
        return self._server.url + ADMIN_PREFIX

    def start(self) -> Self:
        """Listen, and return when calls are answered."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Close every connection and stop listening."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
