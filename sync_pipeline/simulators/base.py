"""Base class of the simulators: a server on a port of its own, with an admin API."""

from types import TracebackType
from typing import Self

from sync_pipeline.simulators.middleware import ADMIN_PREFIX
from sync_pipeline.simulators.server import BackgroundServer


class Simulator:
    """Listens from `start` to `stop`, or within a `with` block; a restart uses the same port."""

    _server: BackgroundServer

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
