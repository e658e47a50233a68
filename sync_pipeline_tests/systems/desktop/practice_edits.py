"""What people do to rows of the practice on either side."""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.errors import TargetRefused
from sync_pipeline.merge.review import resolve
from sync_pipeline_tests.systems.desktop.practice_state import PracticeState, View, row_versions
from sync_pipeline_tests.systems.desktop.random_histories import TABLES, Edit, Key, Row, Table

OWN: LiteralString = "coalesce(rtrim(source::text), '') <> 'M'"


COPY: LiteralString = "source = 'M'"


class PracticeEdits(PracticeState):
    """Edits by people on either side, and their decisions about conflicts."""

    def _people(
        self, side: str, name: str, statement: sql.Composed, values: Sequence[Any]
    ) -> Key | None:
        """Something that a person does to one row; returns its key, or None when nothing came of it.

        The app's constraints may be against it, and a person does not wait for a lock.
        """
        with self._side(side).connection.cursor() as cursor:
            try:
                found = cursor.execute(statement, values).fetchone()
            except (psycopg.IntegrityError, psycopg.errors.LockNotAvailable):
                return None
        if found is None:
            return None
        self._remember(side)
        key = TABLES[name].key(found[0])
        self.touched.add((name, key))
        return key

    def _insert(self, side: str, name: str, key: Key, mark: str | None, edit: Edit) -> None:
        table = TABLES[name]
        row = dict(zip(table.entity.key, key, strict=True)) | dict(table.row) | dict([edit])
        row["source"] = mark
        statement = sql.SQL(
            "insert into {} as t ({}) values ({}) on conflict do nothing returning to_jsonb(t.*)"
        ).format(
            self._named(name, side),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        self._people(side, name, statement, list(row.values()))

    def _change(
        self,
        side: str,
        name: str,
        nth: int,
        mark: LiteralString,
        verb: sql.Composable,
        *values: Any,
    ) -> Key | None:
        """Do something to the nth of the rows whose mark meets a condition."""
        statement = sql.SQL(
            "with one as (select ctid from {table} t where {mark} order by t::text"
            " offset %s %% greatest(1, (select count(*) from {table} where {mark})) limit 1)"
            " {verb} where ctid = (table one) returning to_jsonb(t.*)"
        ).format(table=self._named(name, side), mark=sql.SQL(mark), verb=verb)
        return self._people(side, name, statement, [nth, *values])

    def _set(self, side: str, name: str, nth: int, mark: LiteralString, edit: Edit) -> Key | None:
        verb = sql.SQL("update {} t set {} = %s")
        column, value = edit
        verb = verb.format(self._named(name, side), sql.Identifier(column))
        return self._change(side, name, nth, mark, verb, value)

    def _delete(self, side: str, name: str, nth: int, mark: LiteralString) -> None:
        verb = sql.SQL("delete from {} t").format(self._named(name, side))
        key = self._change(side, name, nth, mark, verb)
        if key:
            self.deleted[side].add((name, key))

    def desk_inserts(self, name: str, key: Key, mark: str | None, edit: Edit) -> None:
        self._insert("desktop", name, key, mark, edit)

    def desk_collides(self, name: str, nth: int, mark: str | None, edit: Edit) -> None:
        """The desktop gives a new row a number that mobile has given as well."""
        keys = list(self.theirs[name])
        if keys:
            self._insert("desktop", name, keys[nth % len(keys)], mark, edit)

    def desk_repeats(self, name: str, nth: int, edit: Edit) -> None:
        """The key of one of the desktop's own rows comes to stand for one more."""
        verb = sql.SQL(
            "insert into {0} as t select (jsonb_populate_record(x, %s)).* from {0} x"
        ).format(self._named(name, "desktop"))
        self._change("desktop", name, nth, OWN, verb, Jsonb(dict([edit])))

    def desk_sets(self, name: str, nth: int, edit: Edit) -> None:
        self._set("desktop", name, nth, OWN, edit)

    def desk_deletes(self, name: str, nth: int) -> None:
        self._delete("desktop", name, nth, OWN)

    def desk_sets_copy(self, name: str, nth: int, edit: Edit) -> None:
        key = self._set("desktop", name, nth, COPY, edit)
        if key:
            self.entered["desktop"][name, key, edit[0]].add(edit[1])

    def desk_deletes_copy(self, name: str, nth: int) -> None:
        self._delete("desktop", name, nth, COPY)

    def desk_claims_copy(self, name: str, nth: int) -> None:
        """The desktop makes a mobile row its own."""
        key = self._set("desktop", name, nth, COPY, ("source", "D"))
        if key:
            self.deleted["desktop"].add((name, key))

    def phone_inserts(self, name: str, key: Key, edit: Edit) -> None:
        self._insert("mobile", name, key, "M", edit)

    def phone_sets(self, name: str, nth: int, edit: Edit) -> None:
        """A mobile user works on a row of the desktop."""
        key = self._set("mobile", name, nth, OWN, edit)
        if key:
            self.entered["mobile"][name, key, edit[0]].add(edit[1])

    def phone_sets_own(self, name: str, nth: int, edit: Edit) -> None:
        self._set("mobile", name, nth, COPY, edit)

    def phone_deletes(self, name: str, nth: int) -> None:
        self._delete("mobile", name, nth, "true")

    def phone_claims(self, name: str, nth: int) -> None:
        """A mobile user makes a row of the desktop their own."""
        self._set("mobile", name, nth, OWN, ("source", "M"))

    def resolve_conflict(self, side: str, nth: int, choice: resolve.Side) -> None:
        """A person decides an open conflict."""
        direction, conflicting = self._direction_to(side), self.practice.conflicts(side)
        if not conflicting:
            return
        conflict = conflicting[nth % len(conflicting)]
        table, before = TABLES[conflict["entity"]], self.look(side)
        with direction.connect("a person") as connection:
            try:
                resolve.resolve(
                    connection, direction.system, conflict["id"], choice, run_id=uuid4()
                )
            except (LookupError, TargetRefused):
                assert row_versions(self.look(side)) == row_versions(before), (
                    "a refused decision wrote"
                )
                return
        self._check_decided(table, side, conflict, choice, before)
        self._remember(side)

    def _check_decided(
        self, table: Table, side: str, conflict: Row, choice: str, before: View
    ) -> None:
        """Only the row in question, and of it only the fields in question, have changed."""
        was = {f.image: f for rows in before.values() for f in rows}
        now = {f.image: f for rows in self.look(side).values() for f in rows}
        gone = [was[image] for image in was.keys() - now.keys()]
        come = [now[image] for image in now.keys() - was.keys()]
        assert len(gone) <= len(come) <= 1, (conflict, gone, come)
        if not come:
            return
        [new] = come
        key = table.key(conflict["key"])
        assert table.key(new.row) == key, (conflict, new)
        if not gone:
            held = [f for f in before[table.name] if table.key(f.row) == key]
            assert conflict["kind"] == "deleted", (conflict, new)
            assert choice == "source", (conflict, new)
            assert not held, (conflict, "came back beside", held)
            return
        [old] = gone
        assert old.row["source"] == new.row["source"], (conflict, old, new)
        changed = {c: v for c, v in new.row.items() if old.row[c] != v and c != "updated_at"}
        wanted = conflict[choice]
        if conflict["field"]:
            wanted = {conflict["field"]: wanted}
        assert changed.items() <= wanted.items(), (conflict, old, new)
        for column, value in changed.items():
            self.entered[side][table.name, key, column].add(value)
