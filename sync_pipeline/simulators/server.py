"""Running an ASGI app on a loopback port, in a thread of this process.

Anything that speaks ASGI can be served. What is special here is control over the connections:
faults need the transport of a call (`transport_of`), and a stop must not wait for clients that
keep their connections open.
"""

import asyncio
import contextlib
import socket
from threading import Event, Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

START_TIMEOUT_S = 10.0


class _Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, with the connection's transport within reach of the app."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"] = {"transport": self.transport}


def transport_of(scope: Scope) -> asyncio.Transport:
    """The connection over which a call came."""
    return scope["state"]["transport"]


class _Server(uvicorn.Server):
    """A server that starts and stops without uvicorn's polling, which costs 0.1 to 0.3 s a stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def request_stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        # Aborted connections report themselves in the next turn of the loop; calls that wait for
        # something else do not notice.
        await asyncio.sleep(0)
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        for sock in sockets or []:
            sock.close()


def _cancellable(app: ASGIApp) -> ASGIApp:
    """The app, ending in silence where a stop cancels it: uvicorn would log that as a failure."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return answer


class BackgroundServer:
    """Serves an app from `start` to `stop`; started again, it listens on the same port."""

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._running: tuple[_Server, Thread] | None = None

    @property
    def url(self) -> str:
        """`http://host:port`, once started."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> None:
        """Listen, and return when calls are answered.

        Raises:
            RuntimeError: it is running already, or it did not come up.
        """
        if self._running is not None:
            raise RuntimeError(f"already listening on {self.url}")
        listener = socket.create_server((self._host, self._port), backlog=1024)
        self._port = listener.getsockname()[1]
        server = _Server(_config(_cancellable(self._app)))
        thread = Thread(target=server.run, args=([listener],), name=f"serving {self.url}")
        thread.daemon = True
        thread.start()
        if not server.ready.wait(START_TIMEOUT_S):
            listener.close()
            raise RuntimeError(f"{self.url} did not come up within {START_TIMEOUT_S:.0f} s")
        self._running = server, thread

    def stop(self) -> None:
        """Close every connection and wait for the thread; nothing happens if it is not running."""
        if self._running is None:
            return
        server, thread = self._running
        self._running = None
        server.request_stop()
        thread.join()


def _config(app: ASGIApp) -> uvicorn.Config:
    settings: dict[str, Any] = {
        "http": _Protocol,
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        # Each simulator sends the date of its own clock.
        "date_header": False,
        "server_header": False,
        # Clients reuse idle connections for as long as their pool keeps them.
        "timeout_keep_alive": 75,
    }
    return uvicorn.Config(app, **settings)
