"""An HTTP response, not yet interpreted."""

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

TRANSIENT_4XX = frozenset({408, 425, 429})


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
    """A response.

    Attributes:
        status: the HTTP status.
        headers: names in any spelling of case.
        content: the body, or as much of it as was asked for.
        path: of the request, without its query.
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
            InvalidResponse: it is not JSON; the call is tried a few times more.
        """
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            raise InvalidResponse(f"a body that is not JSON{self.quoted}") from None

    @property
    def quoted(self) -> str:
        """The source's error message, ready to be appended to ours; empty if there is none."""
        words = error_message(self.content, Redactor(*self.secrets))
        return f": “{words}”" if words else ""

    @property
    def redirection(self) -> str | None:
        """The target of a redirection without credentials: host and path."""
        target = self.headers.get("location")
        if not target:
            return None
        # Credentials may also stand before the host, in the query and in the fragment.
        place = re.sub(r"^([^/?#]*//)[^/?#]*@", r"\1", re.split(r"[?#]", target, maxsplit=1)[0])
        return truncate(Redactor(*self.secrets)(place))

    @property
    def is_transient(self) -> bool:
        """Whether the status is that of a transient failure."""
        return self.status in TRANSIENT_4XX or self.status >= 500

    @property
    def date(self) -> datetime | None:
        """The server's clock, from its Date header."""
        return _http_date(self.headers.get("date", ""))

    @property
    def retry_after(self) -> float | None:
        """Seconds of the Retry-After header, if there is one."""
        value = self.headers.get("retry-after", "").strip()
        if value.isdecimal():
            return float(value)
        moment = _http_date(value)
        if moment is None:
            return None
        # Both times are the server's, so a wrong local clock does not matter.
        now = self.date or datetime.now(UTC)
        return max(timedelta(0), moment - now).total_seconds()


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # a year or an offset that no calendar has
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
