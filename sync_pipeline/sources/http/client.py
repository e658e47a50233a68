"""Base of the synchronous clients of HTTP sources, and checks of the settings that they are made of.

What a source is asked and what its responses mean belongs to the client of its system.
"""

from contextlib import AbstractAsyncContextManager
from typing import Self

import httpx2

from sync_pipeline.errors import SettingsError
from sync_pipeline.sources.event_loop import EventLoopThread
from sync_pipeline.sources.http.response import Traffic


class HttpClient:
    """Synchronous calls to one source from an event loop of its own; a context manager.

    Args:
        thread: name of the event loop's thread.
        transport: entered when the loop starts and left before it ends.
        traffic: where the transport counts.

    Attributes:
        traffic: calls, bytes, retries and waits so far; still counting.
    """

    def __init__(
        self, thread: str, transport: AbstractAsyncContextManager[object], traffic: Traffic
    ) -> None:
        self.traffic = traffic
        self._event_loop = EventLoopThread(thread, transport)

    def __enter__(self) -> Self:
        self._event_loop.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel pending calls and close the connections; harmless when closed."""
        self._event_loop.close()


def require_url(variable: str, url: str, *, example: str) -> str:
    """The URL without a slash at its end.

    Raises:
        SettingsError: it is not an absolute HTTP URL.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SettingsError(f"{variable} has to be a URL such as {example}")
    return url.rstrip("/")


def require_credential(variable: str, value: str) -> None:
    """Check that a credential can stand in a header.

    Raises:
        SettingsError: it cannot.
    """
    if not fits_header(value):
        raise SettingsError(f"{variable} is empty or holds blanks or other stray characters")


def fits_header(value: str) -> bool:
    """Whether a credential is one printable ASCII word.

    Any other would fail inside the HTTP library, whose message quotes the header.
    """
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
