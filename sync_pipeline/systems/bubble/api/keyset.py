"""Keyset pagination: no concurrent edit makes a pass over a query skip a record.

A page begins at the last sort value of the page before, not at a rank, which moves with every deletion.
Bubble has only a strict “greater than”, and bulk creation gives hundreds of records the same millisecond. So
each page begins with the last record that was read; if it is there, no record was skipped.
"""

from dataclasses import replace
from datetime import datetime

from sync_pipeline.errors import SourceBroken
from sync_pipeline.systems.bubble.api.pages import Page, PageReader, Query, Record

_MAX_PAGES_WITHOUT_PROGRESS = 3


class KeysetReader:
    """One pass over a query, page after page.

    Attributes:
        ended: nothing is left to read.
        read: records returned so far; one that is modified during a delta counts again.
        reported: number of records according to the first page.
        started_at: the server's clock at the first page.
    """

    def __init__(self, pages: PageReader, query: Query, *, attempts: int | None = None) -> None:
        self.ended = False
        self.read = 0
        self.reported: int | None = None
        self.started_at: datetime | None = None
        self._pages = pages
        self._query = query
        self._attempts = attempts
        self._last: int | None = None
        self._ids_at_last: set[str] = set()
        self._pages_without_progress = 0
        self._end_seen = False

    @property
    def last_value(self) -> int | None:
        """The greatest sort value read so far."""
        return self._last

    def stop_at(self, until: int) -> None:
        """Read no further than this sort value."""
        self._query = replace(self._query, until=until)
        self.reported = None

    async def next_records(self) -> list[Record]:
        """The next records; possibly none, even before the end.

        Raises:
            SourceBroken: the listing cannot be read to its end.
        """
        page = await self._next_page()
        new = self._new_records(page)
        self.read += len(new)
        self.started_at = self.started_at or page.date
        if self.reported is None:
            self.reported = self.read + page.remaining
        if page.remaining == 0:
            # An early end has to be confirmed by a second page without new records.
            self.ended = self.read >= self.reported or (self._end_seen and not new)
            self._end_seen = True
        else:
            self._require_progress(new)
        return new

    async def _next_page(self) -> Page:
        if self._last is None:
            return await self._pages.page(self._query, attempts=self._attempts)
        query = replace(self._query, after=self._last - 1)
        cursor = len(self._ids_at_last) - 1
        while True:
            page = await self._pages.page(query, cursor=cursor, attempts=self._attempts)
            if cursor == 0 or self._continues(page):
                return page
            # Records that share the value were deleted, and those after them moved up.
            cursor = max(0, cursor - self._pages.page_size + 1)

    def _continues(self, page: Page) -> bool:
        return (
            bool(page.records)
            and page.keys[0] == self._last
            and page.records[0]["_id"] in self._ids_at_last
        )

    def _new_records(self, page: Page) -> list[Record]:
        new = [
            record
            for record, key in zip(page.records, page.keys, strict=True)
            if key != self._last or record["_id"] not in self._ids_at_last
        ]
        if page.keys:
            last = page.keys[-1]
            at_last = {r["_id"] for r, k in zip(page.records, page.keys, strict=True) if k == last}
            self._ids_at_last = at_last | (self._ids_at_last if last == self._last else set())
            self._last = last
        return new

    def _require_progress(self, new: list[Record]) -> None:
        self._pages_without_progress = 0 if new else self._pages_without_progress + 1
        if self._pages_without_progress < _MAX_PAGES_WITHOUT_PROGRESS:
            return
        listing = f"Bubble: the listing of {self._query.type_name}"
        if (alike := len(self._ids_at_last)) > 1:
            raise SourceBroken(
                f"{listing} does not get past {alike} records with the same “{self._query.sort}”: its "
                "cursor reaches no further. Ask Bubble to raise the limit, or create such records in "
                "smaller bulks."
            )
        raise SourceBroken(f"{listing} gives the same page again and again.")
