"""Options of a running Graph simulator: names and defaults, no behaviour."""

from dataclasses import dataclass
from typing import Literal

from sync_pipeline.simulators.options import SimulatorOptions

Echo = Literal["no", "plain", "quoted"]


@dataclass(slots=True, kw_only=True)
class Options(SimulatorOptions):
    """The options of every simulator, and Graph's own.

    Attributes:
        default_limit: numbers in a page of a call without `limit`.
        page_limit: most numbers in a page; a larger `limit` is refused.
        empty_page_first: the first page of a listing is empty and yet has a `next`, as happens where
            entries were filtered out after the page was cut.
        repeat_cursor: every page leads back to itself.
        next_without_cursors: pages have a `next` but no `cursors`.
        echo: error messages repeat the caller's token, as it is or percent-encoded.
        app_usage: per cent in X-App-Usage; None: no such header.
        business_usage: per cent in X-Business-Use-Case-Usage; None: no such header.
        regain_minutes: its estimated_time_to_regain_access.
    """

    default_limit: int = 25
    page_limit: int = 100
    empty_page_first: bool = False
    repeat_cursor: bool = False
    next_without_cursors: bool = False
    echo: Echo = "no"
    app_usage: int | None = 1
    business_usage: int | None = 1
    regain_minutes: int = 0
