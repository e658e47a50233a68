"""Options of every simulator, set by name while it runs.

A protocol's own options extend `SimulatorOptions`; the middleware and the protocol read them.
"""

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sync_pipeline.simulators.faults import BodyKind


@dataclass(slots=True, kw_only=True)
class SimulatorOptions:
    """Assign to the attributes while the simulator runs; the next call sees the change.

    Attributes:
        latency_ms: time that every call takes before it is answered.
        jitter_ms: up to so much is added to the latency, uniformly distributed.
        rate_limit_per_minute: calls allowed in a window; further ones get 429.
        rate_limit_window_s: length of that window; tests shorten it.
        rate_limit_retry_after: whether a 429 has a Retry-After header.
        rate_limit_body: form of the body of a 429.
        url_limit: longest path and query in bytes; longer ones get 414.
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_limit_per_minute: int | None = None
    rate_limit_window_s: float = 60.0
    rate_limit_retry_after: bool = False
    rate_limit_body: BodyKind = "plain"
    url_limit: int = 8 * 1024

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set several by name, all or none.

        Raises:
            ValueError: a name is unknown or a value is of the wrong kind.
        """
        hints = get_type_hints(type(self))
        values = {name: _as_tuple(value) for name, value in changes.items()}
        for name, value in values.items():
            if name not in hints:
                raise ValueError(f"there is no option {name}")
            if not _fits(value, hints[name]):
                raise ValueError(f"option {name} cannot be {value!r}")
        for name, value in values.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """All options, ready for JSON."""
        return asdict(self)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)
