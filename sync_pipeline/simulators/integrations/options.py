"""Options of a running Qu simulator: names and defaults, no behaviour."""

from dataclasses import dataclass
from typing import Literal

from sync_pipeline.simulators.options import SimulatorOptions


@dataclass(slots=True, kw_only=True)
class Options(SimulatorOptions):
    """The options of every simulator, and Qu's own.

    Attributes:
        wrapped: establishments whose menus come as `{"value": …, "succeed": true, "errors": []}`.
        shape: a menu as a tree of nodes, or in the older shape of three flat lists.
        unchanged_status: status of the reply for an unchanged menu, whose body is empty.
        ignores_previous: whether PrevGenerationTime is ignored.
        children_first: whether a node's children come before its other keys, and discounts before all.
        token_lifetime_s: lifetime of a token.
        integration: the required X-Integration, if any.
        forbidden: establishments that the integration may not read: their replies are 403.
        failing: establishments whose menus cannot be made: 200 with `"succeed": false`.
        extra_items: number of further products at each establishment, about 1.5 KB each, generated while
            they are sent.
    """

    wrapped: tuple[str, ...] = ("1002",)
    shape: Literal["tree", "flat"] = "tree"
    unchanged_status: Literal[200, 204] = 204
    ignores_previous: bool = False
    children_first: bool = False
    token_lifetime_s: float = 3600.0
    integration: str | None = None
    forbidden: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    extra_items: int = 0
