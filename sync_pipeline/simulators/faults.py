"""Fault injection: which faults are armed, which calls they hit, and how often.

The same for every protocol. Transport effects are in `fault_effects`; faults that change a response's
content (`CONTENT_KINDS`) are applied by the simulator of the protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from threading import Lock
from typing import Any, Literal, get_args

Kind = Literal[
    "status",  # answer `status` with a `body` of the given kind and `headers`
    "reset",  # close the connection with a TCP reset and no reply
    "stall",  # send the headers, then nothing for `seconds`, then drop the connection
    "truncate",  # promise the whole body, send half of it, close the connection
    "cut",  # half the body with a Content-Length that agrees: broken JSON in an intact reply
    "garbage",  # 200 with a body that is not JSON
    "empty_results",  # 200, no results and nothing remaining, although there is data
    "shrink",  # 200, half of the page's results and nothing remaining
    "duplicate_page",  # 200, the results of the previous page again
]
BodyKind = Literal["json", "plain", "html"]

CONTENT_KINDS: frozenset[Kind] = frozenset({"empty_results", "shrink", "duplicate_page"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as faults and statistics see it.

    Attributes:
        method: the HTTP method.
        url: the decoded path and query.
        route: the path with ids written as `{id}`.
        type: the object type, as the protocol names it.
        listing: whether it asks for a page of results.
    """

    method: str
    url: str
    route: str
    type: str | None = None
    listing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. Conditions left out match every call; several must all hold.

    Kinds that change a response's content match only calls that ask for a page of results.

    Attributes:
        kind: what happens.
        type: only calls about this type of object, in any spelling of case.
        method: only this HTTP method.
        path: a regular expression searched in the decoded path and query.
        ids: only calls whose path or query names at least one of these.
        nth: the first matching call that is hit; 600 lets 599 pass.
        times: how many calls are hit; None hits every one from `nth` on.
        status: status code of `status`.
        body: how the body of `status` or `garbage` looks.
        headers: further headers of `status`, such as Retry-After.
        seconds: how long `stall` holds the connection open.
    """

    kind: Kind
    type: str | None = None
    method: str | None = None
    path: str | None = None
    ids: tuple[str, ...] = ()
    nth: int = 1
    times: int | None = None
    status: int = 503
    body: BodyKind = "json"
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 30.0

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Fault:
        """A fault from decoded JSON.

        Raises:
            ValueError: a name or a kind is unknown, or a value is of the wrong kind.
        """
        if unknown := set(value) - {f.name for f in fields(cls)}:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        if value.get("kind") not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}")
        if value.get("body", "json") not in get_args(BodyKind):
            raise ValueError(f"body must be one of {', '.join(get_args(BodyKind))}")
        re.compile(value.get("path") or "")
        return cls(**{**value, "ids": tuple(value.get("ids", ()))})

    def matches(self, call: Call) -> bool:
        """Whether the call is one that this fault counts."""
        return (
            (call.listing or self.kind not in CONTENT_KINDS)
            and (self.type is None or (call.type or "").lower() == self.type.lower())
            and (self.method is None or call.method == self.method.upper())
            and (self.path is None or re.search(self.path, call.url) is not None)
            and (not self.ids or any(uid in call.url for uid in self.ids))
        )


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def due(self) -> bool:
        return self.seen >= self.fault.nth and (
            self.fault.times is None or self.fired < self.fault.times
        )


class Faults:
    """The faults armed at the moment, in the order in which they are tried."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._lock = Lock()

    def add(self, *faults: Fault) -> None:
        """Arm faults; they stay listed after their last hit."""
        with self._lock:
            self._armed.extend(_Armed(fault) for fault in faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Arm exactly these."""
        with self._lock:
            self._armed = [_Armed(fault) for fault in faults]

    def clear(self) -> None:
        """Disarm everything."""
        self.replace(())

    def pick(self, call: Call) -> Fault | None:
        """The fault that hits this call, if any; counts the call for every fault it matches."""
        with self._lock:
            matching = [armed for armed in self._armed if armed.fault.matches(call)]
            for armed in matching:
                armed.seen += 1
            hit = next((armed for armed in matching if armed.due()), None)
            if hit is None:
                return None
            hit.fired += 1
            return hit.fault

    @property
    def fired(self) -> int:
        """How many calls were hit by the faults that are listed."""
        with self._lock:
            return sum(armed.fired for armed in self._armed)

    def listing(self) -> list[dict[str, Any]]:
        """Each fault with how many calls it has seen and hit."""
        with self._lock:
            return [{**asdict(a.fault), "seen": a.seen, "fired": a.fired} for a in self._armed]
