"""Rows that share a key and yet are not the same thing: they are named and not merged."""

from __future__ import annotations

from psycopg import sql

from sync_pipeline.doctor.repair.report import listed
from sync_pipeline.doctor.repair.session import fetch
from sync_pipeline.doctor.repair.table_layout import Layout
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.doctor.repair.worklist import SHEET
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection

# What a row lacks is not held against it.
_MIXED = sql.SQL("""
select string_agg(distinct mixed.name, ', ' order by mixed.name),
    string_agg(distinct d.row_key::text, ' and ' order by d.row_key::text)
from (
    select clan, name
    from {sheet} cross join unnest(%(columns)s::text[]) name
    where size > 1
    group by clan, name
    having count(distinct (before || patch) ->> name) > 1
) mixed
join {sheet} d using (clan)
group by clan
order by clan
limit 3
""")


def keep_apart(connection: Connection, layout: Layout, key: UniqueKey) -> None:
    """Let no rows be merged that differ in a column of `key.apart`, the values of the fills included.

    Args:
        connection: in the transaction of the repair, which has made the work sheet.
        layout: of the table.
        key: what is wanted.

    Raises:
        TargetNotPrepared: there are such rows; the message names them.
    """
    columns = [name for name in key.apart if name in layout.types]
    mixed = fetch(connection, _MIXED.format(sheet=SHEET), {"columns": columns}) if columns else []
    if mixed:
        rows = "; ".join(f"{rows} differ in {listed([names])}" for names, rows in mixed)
        raise TargetNotPrepared(
            f"{key.place}: rows share {listed(key.columns)} and are not the same thing: {rows}. Nothing was"
            f" changed; fill what tells them apart in {listed(key.columns)}, or remove those that are of no"
            " use, then try again."
        )
