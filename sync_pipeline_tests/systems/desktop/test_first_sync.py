"""The checklist of the source document on a whole practice: forward, back and forward again.

All tests look at one practice that has been synced once, so they are kept on one worker.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge.review import audit
from sync_pipeline.model.entity import Entity
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline_tests.fixtures.desktop import Practice, Results, Side, copied, tables, total

pytestmark = pytest.mark.xdist_group("first sync of the desktop")

Row = dict[str, Any]
Key = tuple[Any, ...]
Images = dict[str, list[str]]

ON_DESKTOP = {e.name: e.source for e in DESKTOP.entities}
ON_MOBILE = {e.name: e.table for e in DESKTOP.entities}


@dataclass
class Synced:
    """A practice after three runs, and what its tables held before.

    Attributes:
        records: the desktop's rows before, in the words of the mobile database.
        known: keys of the rows that mobile had before.
        entered: images of the rows of mobile users before.
        desktop: images of the desktop's rows, before and after the first forward run.
    """

    practice: Practice
    records: dict[str, dict[Key, list[Row]]]
    known: dict[str, set[Key]]
    entered: Images
    desktop: tuple[Images, Images]
    forward: Results
    reverse: Results
    again: Results


@pytest.fixture(scope="module")
def synced(
    server: EmbeddedServer, desktop_server: EmbeddedServer, practice_templates: None
) -> Iterator[Synced]:
    with copied(server, desktop_server, "used") as practice:
        records = {e.name: records_on_desktop(practice, e) for e in DESKTOP.entities}
        known = {e.name: set(rows_on_mobile(practice, e)) for e in DESKTOP.entities}
        entered, before = images_of_mobile(practice), images_of_desktop(practice)
        forward = practice.forward()
        desktop = before, images_of_desktop(practice)
        runs = forward, practice.reverse(), practice.forward()
        yield Synced(practice, records, known, entered, desktop, *runs)


def records_on_desktop(practice: Practice, entity: Entity) -> dict[Key, list[Row]]:
    names = {f.column: f.sources[0] for f in entity.fields if f.sources}
    rows = practice.desktop.rows(f"select * from {entity.source}")
    return by_key(entity, [{column: row[name] for column, name in names.items()} for row in rows])


def rows_on_mobile(practice: Practice, entity: Entity) -> dict[Key, list[Row]]:
    return by_key(entity, practice.mobile.rows(f"select * from {entity.table}"))


def by_key(entity: Entity, rows: Iterable[Row]) -> dict[Key, list[Row]]:
    grouped: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[tuple(row[c] for c in entity.key)].append(row)
    return grouped


def images_of_mobile(practice: Practice) -> Images:
    """The rows that mobile users own."""
    return {e.name: practice.mobile.images(e.table, "source = 'M'") for e in DESKTOP.entities}


def images_of_desktop(practice: Practice, condition: str = "true") -> Images:
    return {e.name: practice.desktop.images(e.source, condition) for e in DESKTOP.entities}


def sizes(side: Side, tables_: dict[str, str], condition: str = "true") -> dict[str, int]:
    """How many rows of each table meet a condition, where any does."""
    counts = {
        name: side.value(f"select count(*) from {table} where {condition}")
        for name, table in tables_.items()
    }
    return {name: count for name, count in counts.items() if count}


def fates(synced: Synced, entity: Entity) -> dict[str, list[Key]]:
    """Keys of the desktop that are not on mobile with the values of a row that the desktop has, by why."""
    found: dict[str, list[Key]] = defaultdict(list)
    here = rows_on_mobile(synced.practice, entity)
    for key, records in synced.records[entity.name].items():
        [row] = here.get(key) or [None]
        if row is None:
            found["absent"].append(key)
        elif row["source"] == "M":
            found["of mobile"].append(key)
        elif not any(holds(row, r, known=key in synced.known[entity.name]) for r in records):
            found["other values"].append(key)
        found["repeated"] += [key] * (len(records) - 1)
    return found


def holds(row: Row, record: Row, *, known: bool) -> bool:
    """Whether a mobile row has a record's values; of one known before, what is empty erases nothing."""
    return all(row[c] == value or (known and value is None) for c, value in record.items())


def kept_for_later(practice: Practice, entity: Entity) -> list[Key]:
    """Keys of parked and rejected records, as the desktop has them."""
    waiting = practice.mobile.rows("select entity, record from sync.parked")
    waiting += practice.mobile.rows("select entity, payload as record from sync.rejected")
    names = [entity.field(c).sources[0] for c in entity.key]
    return [tuple(w["record"][n] for n in names) for w in waiting if w["entity"] == entity.name]


def in_conflict(practice: Practice, entity: Entity) -> list[Key]:
    found = (c for c in practice.conflicts() if (c["entity"], c["kind"]) == (entity.name, "owner"))
    return [tuple(c["key"][column] for column in entity.key) for c in found]


def texts(keys: list[Key]) -> list[list[str]]:
    return sorted([str(part) for part in key] for key in keys)


def test_every_record_of_all_fifteen_tables_ends_in_exactly_one_count(synced: Synced) -> None:
    read = {name: r.counts.read for name, r in synced.forward.items() if r.counts.read}

    assert len(synced.forward) == 15
    assert read == {name: len(rows) for name, rows in synced.desktop[0].items() if rows}
    for result in synced.forward.values():
        assert result.counts.read == result.counts.accounted


def test_every_desktop_row_is_on_mobile_or_accounted_for_by_its_key(synced: Synced) -> None:
    for name, result in synced.forward.items():
        entity, fate = DESKTOP[name], fates(synced, DESKTOP[name])
        waiting = kept_for_later(synced.practice, entity)

        assert texts(fate["absent"]) == texts(waiting), name
        assert texts(fate["of mobile"]) == texts(in_conflict(synced.practice, entity)), name
        assert fate["other values"] == [], name
        assert len(waiting) == result.counts.parked + result.counts.rejected, name
        assert len(fate["of mobile"]) == result.counts.owned_elsewhere, name
        assert len(fate["repeated"]) == result.counts.duplicates, name


def test_the_record_counts_of_both_sides_are_explained(synced: Synced) -> None:
    practice = synced.practice
    practice.forward(mode="full")  # only a read of everything can tell

    for entity in DESKTOP.entities:
        found = audit.difference(practice.mobile.connection, entity)
        assert found.at_source == practice.desktop.value(f"select count(*) from {entity.source}")
        assert found.on_target == practice.mobile.value(f"select count(*) from {entity.table}")
        assert (found.unexplained, found.repeats, found.not_here) == (0, 0, 0), entity.name


def test_no_row_of_the_mobile_users_was_touched_not_even_its_time_of_update(synced: Synced) -> None:
    assert sum(map(len, synced.entered.values())) > 400
    assert images_of_mobile(synced.practice) == synced.entered


def test_every_row_that_was_inserted_carries_the_desktops_mark(synced: Synced) -> None:
    marked: dict[str, int] = {}
    for entity in DESKTOP.entities:
        new = [
            row
            for key, [row] in rows_on_mobile(synced.practice, entity).items()
            if key not in synced.known[entity.name]
        ]
        assert {row["source"] for row in new} <= {"D"}
        marked[entity.name] = len(new)

    assert marked == {name: r.counts.inserted for name, r in synced.forward.items()}


def test_a_forward_run_writes_nothing_on_the_desktop(synced: Synced) -> None:
    before, after = synced.desktop

    assert sum(map(len, before.values())) > 1900
    assert after == before


def test_every_mobile_row_went_back_except_those_whose_keys_the_desktop_has_itself(
    synced: Synced,
) -> None:
    taken = {k: n for k, r in synced.reverse.items() if (n := r.counts.owned_elsewhere)}
    entered = sizes(synced.practice.mobile, ON_MOBILE, "source = 'M'")
    arrived = sizes(synced.practice.desktop, ON_DESKTOP, "source = 'M'")

    assert taken == {"jobshead": 1, "reminder": 2}
    assert arrived == {name: count - taken.get(name, 0) for name, count in entered.items()}
    kinds = [(c["entity"], c["kind"]) for c in synced.practice.conflicts("desktop")]
    assert kinds == [("jobshead", "owner"), ("reminder", "owner"), ("reminder", "owner")]


def test_a_reverse_run_changes_no_row_of_the_desktops_own(synced: Synced) -> None:
    own = images_of_desktop(synced.practice, "source is distinct from 'M'")

    assert own == synced.desktop[0]


def test_what_went_back_comes_forward_as_the_mobile_rows_that_they_are(synced: Synced) -> None:
    again = total(synced.again)

    assert (again.inserted, again.updated, again.conflicted) == (0, 0, 0)
    assert again.owned_elsewhere >= total(synced.reverse).inserted > 400
    assert [name for name, r in synced.again.items() if "owner_conflicts" in r.metadata] == []


def test_further_runs_either_way_write_nothing(synced: Synced) -> None:
    practice = synced.practice
    before = practice.mobile.written(tables(DESKTOP)), practice.desktop.written(tables(REVERSE))

    forward, reverse = practice.forward(mode="full"), practice.reverse()

    after = practice.mobile.written(tables(DESKTOP)), practice.desktop.written(tables(REVERSE))
    assert after == before
    assert total(forward).read >= sum(sizes(practice.desktop, ON_DESKTOP).values())
    assert total(reverse).read == 0
