"""Pages of a listing: the JSON envelope, its caps, and the content faults."""

from sync_pipeline.simulators.bubble.concurrent_edits import ConcurrentEdits
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.query_parameters import Listing
from sync_pipeline.simulators.bubble.store import Store
from sync_pipeline.simulators.faults import Fault


class Listings:
    """Answers listings of a store; remembers the last page of each type for `duplicate_page`."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options
        self._edits = ConcurrentEdits(store, options)
        self._last_pages: dict[str, list[bytes]] = {}

    def answer(self, kind: str, listing: Listing, *, fault: Fault | None) -> bytes:
        """The body of a response with one page."""
        self._edits.before_page(kind)
        size = self._size(listing)
        total, page = self._store.search(kind, listing.query, start=listing.cursor, size=size)
        count = -1 if listing.limit < 0 else len(page)
        remaining = max(total - listing.cursor - count, 0)
        last, self._last_pages[kind] = self._last_pages.get(kind, page), page
        match fault.kind if fault is not None else None:
            case "empty_results":
                page, count, remaining = [], 0, 0
            case "shrink":
                page = page[: len(page) // 2]
                count, remaining = len(page), 0
            case "duplicate_page":
                page, count = last, len(last)
            case _:
                pass
        return self._envelope(listing, page, count=count, remaining=remaining)

    def _size(self, listing: Listing) -> int:
        cap = self._options.cursor_cap
        if listing.cursor == cap and self._options.cursor_cap_answers:
            return listing.limit
        return max(min(listing.limit, cap - listing.cursor), 0)

    def _envelope(
        self, listing: Listing, page: list[bytes], *, count: int, remaining: int
    ) -> bytes:
        counted = b""
        if not listing.exclude_remaining:
            counted = b',"remaining":%d' % remaining
        elif not self._options.exclude_remaining_drops_key:
            counted = b',"remaining":0'
        return b'{"response":{"cursor":%d,"results":[%b],"count":%d%b}}' % (
            listing.cursor,
            b",".join(page),
            count,
            counted,
        )
