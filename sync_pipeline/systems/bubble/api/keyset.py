"""Reading a listing from one end to the other so that no concurrent edit makes it skip a record.

Pages are not found by their rank, which moves with every deletion, but by a key: each page begins
at the sort value where the one before it ended. Many records can share a value, for Bubble only
has a strict “greater than” and bulk creation gives hundreds the same millisecond. So each page
begins again with the last record that was read: if it is there, nothing can lie between.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sync_pipeline.errors import SourceBroken
from sync_pipeline.systems.bubble.api.pages import Listing, Page, Query, Record

_FRUITLESS_PAGES = 3


class Walk:
    """One pass over a query, page after page.

    Attributes:
        ended: nothing is left to read.
        read: records given so far; one that moved on meanwhile, as a delta's may, counts again.
        reported: how many records there are, as the first page told.
        begun: the server's clock at the first page.
    """

    def __init__(self, listing: Listing, query: Query, *, attempts: int | None = None) -> None:
        self.ended = False
        self.read = 0
        self.reported: int | None = None
        self.begun: datetime | None = None
        self._listing = listing
        self._query = query
        self._attempts = attempts
        self._last: int | None = None
        self._ids_at_last: set[str] = set()
        self._fruitless = 0
        self._doubted = False

    @property
    def reached(self) -> int | None:
        """The greatest sort value read so far."""
        return self._last

    def narrow(self, until: int) -> None:
        """Read no further than this sort value."""
        self._query = replace(self._query, until=until)
        self.reported = None

    async def advance(self) -> list[Record]:
        """The next records; possibly none, even before the end.

        Raises:
            SourceBroken: the listing cannot be read to its end.
        """
        page = await self._next_page()
        fresh = self._take(page)
        self.read += len(fresh)
        self.begun = self.begun or page.date
        if self.reported is None:
            self.reported = self.read + page.remaining
        if page.remaining == 0:
            # An end that comes too early is not believed at once: a second look has to find nothing.
            self.ended = self.read >= self.reported or (self._doubted and not fresh)
            self._doubted = True
        else:
            self._require_progress(fresh)
        return fresh

    async def _next_page(self) -> Page:
        if self._last is None:
            return await self._listing.page(self._query, attempts=self._attempts)
        query = replace(self._query, after=self._last - 1)
        cursor = len(self._ids_at_last) - 1
        while True:
            page = await self._listing.page(query, cursor=cursor, attempts=self._attempts)
            if cursor == 0 or self._continues(page):
                return page
            # Records that share the value were deleted, and those after them moved up.
            cursor = max(0, cursor - self._listing.page_size + 1)

    def _continues(self, page: Page) -> bool:
        return (
            bool(page.records)
            and page.keys[0] == self._last
            and page.records[0]["_id"] in self._ids_at_last
        )

    def _take(self, page: Page) -> list[Record]:
        fresh = [
            record
            for record, key in zip(page.records, page.keys, strict=True)
            if key != self._last or record["_id"] not in self._ids_at_last
        ]
        if page.keys:
            last = page.keys[-1]
            at_last = {r["_id"] for r, k in zip(page.records, page.keys, strict=True) if k == last}
            self._ids_at_last = at_last | (self._ids_at_last if last == self._last else set())
            self._last = last
        return fresh

    def _require_progress(self, fresh: list[Record]) -> None:
        self._fruitless = 0 if fresh else self._fruitless + 1
        if self._fruitless < _FRUITLESS_PAGES:
            return
        listing = f"Bubble: the listing of {self._query.type_name}"
        if (alike := len(self._ids_at_last)) > 1:
            raise SourceBroken(
                f"{listing} does not get past {alike} records with the same “{self._query.sort}”: its "
                "cursor reaches no further. Ask Bubble to raise the limit, or create such records in "
                "smaller bulks."
            )
        raise SourceBroken(f"{listing} gives the same page again and again.")
