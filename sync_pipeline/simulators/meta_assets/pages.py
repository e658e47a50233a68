"""Pages of a listing with Graph's cursors, and the oddities of its paging."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.meta_assets.accounts import Number
from sync_pipeline.simulators.meta_assets.errors import bad_parameter
from sync_pipeline.simulators.meta_assets.options import Options


@dataclass(frozen=True)
class Window:
    """The requested window: a number of entries after one place, or before another."""

    limit: int
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True)
class Page:
    """A page, and whether there are others on either side.

    Attributes:
        numbers: of this page.
        first: cursor of its first entry; None without entries.
        last: of its last.
        previous: cursor for `before`, where there is an earlier page.
        next: cursor for `after`, where there is a further one.
    """

    numbers: Sequence[Number]
    first: str | None = None
    last: str | None = None
    previous: str | None = None
    next: str | None = None


def read_window(query: Mapping[str, str], options: Options) -> Window:
    """The window that a query requests.

    Raises:
        ErrorResponse: a limit out of bounds, or an invalid cursor.
    """
    limit = query.get("limit", str(options.default_limit))
    if not limit.isdecimal() or not 1 <= int(limit) <= options.page_limit:
        raise bad_parameter(f"Param limit must be between 1 and {options.page_limit}")
    return Window(int(limit), _place(query.get("after")), _place(query.get("before")))


def page_of(
    numbers: Sequence[Number], window: Window, options: Options, fault: Fault | None = None
) -> Page:
    """One page of a listing.

    Args:
        numbers: the whole listing.
        window: the requested one.
        options: oddities of the paging.
        fault: a content fault to simulate.
    """
    if fault is not None and fault.kind == "empty_results":
        return Page(())
    if options.empty_page_first and window.after is None and window.before is None:
        return Page((), first=_cursor(0), last=_cursor(0), next=_cursor(0))
    chosen, rest, earlier = _cut(numbers, window)
    if fault is not None and fault.kind == "shrink":
        chosen, rest = chosen[: len(chosen) // 2], False
    if options.repeat_cursor or (fault is not None and fault.kind == "duplicate_page"):
        stuck = _cursor(window.after or (chosen[-1].place if chosen else 0))
        return Page(chosen, first=stuck, last=stuck, next=stuck)
    if not chosen:
        return Page(())
    first, last = _cursor(chosen[0].place), _cursor(chosen[-1].place)
    return Page(
        chosen,
        first=first,
        last=last,
        previous=first if earlier else None,
        next=last if rest else None,
    )


def _cut(numbers: Sequence[Number], window: Window) -> tuple[Sequence[Number], bool, bool]:
    if window.before is not None:
        reach = [n for n in numbers if n.place < window.before]
        return reach[-window.limit :], True, len(reach) > window.limit
    reach = [n for n in numbers if n.place > (window.after or 0)]
    return reach[: window.limit], len(reach) > window.limit, len(reach) < len(numbers)


def paging(page: Page, url: str, query: Mapping[str, Any]) -> dict[str, Any]:
    """The `paging` of a reply.

    The last page has no `next`, although its cursors are there.

    Args:
        page: the page.
        url: the listing's own, which `next` repeats.
        query: further parameters that it repeats.
    """
    if page.last is None:
        return {}
    links = {"next": ("after", page.next), "previous": ("before", page.previous)}
    return {
        "cursors": {"before": page.first, "after": page.last},
        **{
            name: f"{url}?{_query({**query, side: cursor})}"
            for name, (side, cursor) in links.items()
            if cursor
        },
    }


def _query(values: Mapping[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in values.items())


def _cursor(place: int) -> str:
    return urlsafe_b64encode(f"number:{place:012d}".encode()).decode()


def _place(cursor: str | None) -> int | None:
    if not cursor:
        return None
    try:
        return int(urlsafe_b64decode(cursor).decode().removeprefix("number:"))
    except (binascii.Error, ValueError):
        raise bad_parameter("Invalid cursors values") from None
