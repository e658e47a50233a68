"""The floor: what Postgres itself needs for a guarded upsert of a prepared CSV. No base, no plan, no undo."""

from pathlib import Path

import psycopg
from psycopg import sql

from sync_pipeline_tests.bench.measure import Done, Job, main

WORK_MEMORY = "128MB"  # as the merge's own transaction has it
BLOCK = 1 << 18


def load(job: Job) -> Done:
    """COPY into a temporary table, ANALYZE of the key, one MERGE, one commit."""
    with psycopg.connect(job.dsn) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "select attname from pg_attribute where attrelid = 'wide'::regclass and attnum > 0"
                " and attname not like 'local%' order by attnum"
            )
        ]
        connection.execute("select set_config('work_mem', %s, true)", [WORK_MEMORY])
        connection.execute(
            sql.SQL(
                "create temporary table stg on commit drop as select {} from wide limit 0"
            ).format(sql.SQL(", ").join(map(sql.Identifier, names)))
        )
        with (
            Path(job.source).open("rb") as source,
            connection.cursor() as cursor,
            cursor.copy("copy stg from stdin (format csv)") as copy,
        ):
            while block := source.read(BLOCK):
                copy.write(block)
        connection.execute("analyze stg (wide_id)")
        return Done(connection.execute(merge(names)).rowcount)


def merge(names: list[str]) -> sql.Composed:
    """The guarded upsert."""
    values = [n for n in names if n != "wide_id"]

    def of(alias: str, columns: list[str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(alias, c) for c in columns)

    return sql.SQL(
        "merge into wide t using stg s on t.wide_id = s.wide_id"
        " when matched and row({t}) is distinct from row({s}) then update set {sets}"
        " when not matched then insert ({names}) values ({given})"
    ).format(
        t=of("t", values),
        s=of("s", values),
        sets=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(c), sql.Identifier("s", c)) for c in values
        ),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        given=of("s", names),
    )


if __name__ == "__main__":
    main(load)
