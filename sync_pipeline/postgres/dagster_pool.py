"""SQLAlchemy plugin: a connection pool for Dagster's storage, which connects anew for every query.

A run of ten tables writes some two hundred events with six hundred queries. A connection costs 5 ms and
a server process, which was two thirds of what a partial resync took. SQLAlchemy loads this plugin, an
entry point of this package, where a URL says `?plugin=kept_connections`.

It is for a process that executes one run. Web server, daemon and code servers make an instance of
Dagster for every request, and each would keep connections of its own.
"""

from typing import Any

from sqlalchemy import URL
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.pool import NullPool, QueuePool

NAME = "kept_connections"
_MAX_OVERFLOW = 20  # further ones than the one that is kept; the daemon's threads need a few
_RECYCLE_SECONDS = 600


class KeptConnections(CreateEnginePlugin):
    """Replaces `NullPool` with a pool that keeps one connection."""

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        if kwargs.get("poolclass") is NullPool:
            kwargs |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": _MAX_OVERFLOW}
            kwargs["pool_recycle"] = _RECYCLE_SECONDS
        # Notice a restarted server before a query, where Dagster reconnects; within one it fails the run.
        kwargs["pool_pre_ping"] = True

    def update_url(self, url: URL) -> URL:
        """The URL that the driver sees."""
        return url


def pooled(url: URL) -> URL:
    """The URL of an engine with this plugin."""
    return url.update_query_dict({"plugin": NAME})
