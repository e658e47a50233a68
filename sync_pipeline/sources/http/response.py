"""What came back over HTTP, before anyone has read sense into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from sync_pipeline.sources.http.error_text import error_message, truncate
from sync_pipeline.sources.http.redaction import Redactor
from sync_pipeline.sources.http.retry import InvalidResponse

PASSING_4XX = frozenset({408, 425, 429})


@dataclass
class Traffic:
    """What a transport has done so far.

    Attributes:
        calls: HTTP attempts, retries and requests for tokens included.
        bytes: body bytes as they came over the wire, compressed if the source compresses.
        retries: attempts that repeated an earlier one.
        waited: seconds spent waiting before retries, summed over concurrent calls.
    """

    calls: int = 0
    bytes: int = 0
    retries: int = 0
    waited: float = 0.0


@dataclass(frozen=True)
class Response:
    """A reply.

    Attributes:
        status: the HTTP status.
        headers: names in any spelling of case.
        content: the body, or as much of it as was asked for.
        path: what was asked, without its query.
        size: bytes of the decoded body that were read, wherever they went.
        attempts: how many it took to get it.
        secrets: words that must not be quoted.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    path: str
    size: int = 0
    attempts: int = 1
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def json(self) -> Any:
        """The decoded body.

        Raises:
            Undecodable: it is not JSON; the call is tried a few times more.
        """
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            raise InvalidResponse(f"a body that is not JSON{self.quoted}") from None

    @property
    def quoted(self) -> str:
        """The source's own words, ready to follow a statement; empty if there are none."""
        words = error_message(self.content, Redactor(*self.secrets))
        return f": “{words}”" if words else ""

    @property
    def redirection(self) -> str | None:
        """Where the source points to, as far as it may be told: host and path."""
        target = self.headers.get("location")
        if not target:
            return None
        # Credentials may also stand before the host, in the query and in the fragment.
        place = re.sub(r"^([^/?#]*//)[^/?#]*@", r"\1", re.split(r"[?#]", target, maxsplit=1)[0])
        return truncate(Redactor(*self.secrets)(place))

    @property
    def is_transient(self) -> bool:
        """Whether the status tells of a failure that may pass."""
        return self.status in PASSING_4XX or self.status >= 500

    @property
    def date(self) -> datetime | None:
        """The server's clock, as its Date header tells it."""
        return _http_date(self.headers.get("date", ""))

    @property
    def retry_after(self) -> float | None:
        """Seconds that the source asks to be left alone, if it does."""
        value = self.headers.get("retry-after", "").strip()
        if value.isdecimal():
            return float(value)
        moment = _http_date(value)
        if moment is None:
            return None
        # Both moments are the server's, so a local clock that runs wrong does no harm.
        now = self.date or datetime.now(UTC)
        return max(timedelta(0), moment - now).total_seconds()


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
