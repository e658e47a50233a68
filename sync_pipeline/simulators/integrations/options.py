"""What can be switched on a running Qu simulator. No behaviour in this module, only names and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sync_pipeline.simulators.options import Switches


@dataclass(slots=True, kw_only=True)
class Options(Switches):
    """The switches of every simulator, and Qu's own.

    Attributes:
        wrapped: establishments whose menus come as `{"value": …, "succeed": true, "errors": []}`.
        shape: a menu as a tree of nodes, or in the older shape of three flat lists.
        unchanged_status: what an unchanged menu answers; either way its body is empty.
        ignores_previous: whether PrevGenerationTime is overlooked.
        children_first: whether a node's children come before its other keys, and discounts before all.
        token_lifetime_s: how long a token opens the gateway.
        integration: what X-Integration has to say, if anything.
        forbidden: establishments that the integration is not allowed for: they answer 403.
        failing: establishments whose menus cannot be made: 200 with `"succeed": false`.
        extra_items: so many more products at each establishment, made while they are sent. A node of
            them is about 1.5 KB.
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
