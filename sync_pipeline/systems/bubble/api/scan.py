"""Scans of a type: of all records, or of those that changed, with proof of completeness.

A full scan is sorted by Created Date, which never changes, and divided into segments that are read
concurrently. A scan by Modified Date is not divided: should the source end it early, no record before the
greatest date seen was missed.
"""

import math
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Self

from sync_pipeline.sources.event_loop import Emit, EventLoopThread, gather
from sync_pipeline.systems.bubble.api.dates import millis_of, moment_of
from sync_pipeline.systems.bubble.api.keyset import KeysetReader
from sync_pipeline.systems.bubble.api.pages import PageReader, Query, Record

# A segment costs one call to find its boundary; this keeps that below a tenth of its pages.
PAGES_PER_SEGMENT = 12
# Share of records that may be deleted during a scan; beyond it the listing counts as incomplete.
TOLERATED_LOSS = 0.01


class Scan:
    """An iterator over pages of raw records, of which a bounded number is read ahead.

    An error is raised by the iterator, which never just ends. The attributes are final when it has ended.

    Attributes:
        complete: every record that existed throughout the scan was seen, as the source's own counts
            before and after confirm. Never true of a scan by Modified Date, nor of an empty one.
        count_reported: number of records by the first page.
        distinct_ids: records seen.
        started_at: when the first page was sent, by the source's clock.
    """

    def __init__(
        self,
        event_loop: EventLoopThread,
        pages: PageReader,
        query: Query,
        *,
        segments: int,
        cursor_cap: int,
    ) -> None:
        self.complete = False
        self.count_reported = 0
        self.distinct_ids = 0
        self.started_at: datetime | None = None
        self._started = 0
        self._older = 0
        self._highest: int | None = None
        self._pages = pages
        self._query = query
        self._segments = segments
        self._cursor_cap = cursor_cap
        self._stream = event_loop.stream(self._produce, buffer=2 * segments)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Record]:
        return next(self._stream)

    def close(self) -> None:
        """Cancel outstanding requests; harmless after the end."""
        self._stream.close()

    @property
    def highest_modified(self) -> datetime | None:
        """The greatest Modified Date seen."""
        return None if self._highest is None else moment_of(self._highest)

    @property
    def _full(self) -> bool:
        return self._query.sort == "Created Date"

    async def _produce(self, emit: Emit[list[Record]]) -> None:
        reader = KeysetReader(self._pages, self._query)
        records = await reader.next_records()
        self.count_reported = reader.reported or 0
        self.started_at = reader.started_at or datetime.now(UTC)
        self._started = millis_of(self.started_at)
        await self._emit_records(records, emit)
        readers = (
            await self._segment_readers(reader) if self._full and not reader.ended else [reader]
        )
        await gather(partial(self._finish, each, emit) for each in readers)
        self.complete = self._full and self.distinct_ids > 0 and await self._confirm()

    async def _finish(self, reader: KeysetReader, emit: Emit[list[Record]]) -> None:
        while not reader.ended:
            await self._emit_records(await reader.next_records(), emit)

    async def _emit_records(self, records: list[Record], emit: Emit[list[Record]]) -> None:
        if not records:
            return
        for record in records:
            self._count(record)
        await emit(records)

    def _count(self, record: Record) -> None:
        self.distinct_ids += 1
        if "Modified Date" in record:
            modified = millis_of(record["Modified Date"])
            self._highest = max(modified, self._highest or modified)
        if self._full:
            self._older += millis_of(record["Created Date"]) < self._started

    async def _segment_readers(self, first: KeysetReader) -> list[KeysetReader]:
        """The readers of the segments after the first page."""
        assert first.last_value is not None
        boundaries = await self._boundaries()
        boundaries = sorted({boundary for boundary in boundaries if boundary > first.last_value})
        if boundaries:
            first.stop_at(boundaries[0])
        ends = [*boundaries[1:], self._query.until]
        queries = [
            replace(self._query, after=start, until=end)
            for start, end in zip(boundaries, ends, strict=False)
        ]
        return [first, *(KeysetReader(self._pages, query) for query in queries)]

    async def _boundaries(self) -> list[int]:
        """Sort values that divide the records into segments of equal numbers of pages.

        They are found by rank, so that any distribution over time is divided evenly. A rank that moves
        meanwhile only makes a segment longer.
        """
        length = self._segment_length()
        boundaries: list[int] = []
        base, left = self._query.after, self.count_reported
        while left > length:
            # Ranks beyond the cursor's cap are counted from the last boundary found.
            ranks = range(length, min(left, self._cursor_cap), length)
            query = replace(self._query, after=base)
            found = await gather(partial(self._key_at, query, rank) for rank in ranks)
            reached = [key for key in found if key is not None]
            boundaries += reached
            if not reached or len(reached) < len(ranks):
                break
            base, left = reached[-1], left - ranks[-1]
        return boundaries

    def _segment_length(self) -> int:
        # The first page of a segment is all new, the others repeat the last record of the one before;
        # this length fills the segment's last page.
        new = self._pages.page_size - 1
        pages = math.ceil(self.count_reported / new)
        segments = max(1, min(self._segments, pages // PAGES_PER_SEGMENT))
        reachable = (self._cursor_cap - 1) // new
        return new * min(math.ceil(pages / segments), max(1, reachable)) + 1

    async def _key_at(self, query: Query, rank: int) -> int | None:
        page = await self._pages.page(query, cursor=rank - 1, limit=1)
        return page.keys[0] if page.keys else None

    async def _confirm(self) -> bool:
        """Compare with a count taken after the scan.

        Only records older than the scan are compared: newer ones may have been created after the end of
        the listing was read. All that exist now must have been seen; the few that no longer exist, or
        were counted but not listed, may have been deleted meanwhile.
        """
        query = replace(self._query, until=self._started - 1)
        now = (await self._pages.page(query, limit=1)).total
        tolerated = max(1, TOLERATED_LOSS * self.count_reported)
        never_came = self.count_reported - self.distinct_ids
        return 0 <= self._older - now <= tolerated and never_came <= tolerated
