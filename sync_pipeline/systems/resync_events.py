"""Events: messages of other programs that request partial resyncs, such as webhooks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True, kw_only=True)
class Event:
    """A kind of event.

    Attributes:
        queue: queues a request in `sync.request` and returns the keys; none: nothing to sync. Takes a
            session on the target, the decoded JSON, and the id of the subject.
        subject: what the caller has to name because the JSON does not, such as WORKSPACE; empty: nothing.
    """

    name: str
    description: str
    queue: Callable[[Connection, Mapping[str, Any], str], list[str]]
    subject: str = ""
