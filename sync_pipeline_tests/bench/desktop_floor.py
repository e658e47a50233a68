"""The floor of the practice: what Postgres itself needs to bring the target's tables in step.

COPY of every row out of one database into a temporary table of the other, ANALYZE of its key, and one
guarded MERGE for each table, all in one transaction. No base, no plan, no lookups, no undo: a row that a
user has edited is overwritten, and one that the target would refuse is left out in silence.
"""

import psycopg
from psycopg import sql

from sync_pipeline.merge.relations import AND, Relations, columns, ident, listed
from sync_pipeline.model.entity import Entity, Field
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline_tests.bench.floor import WORK_MEMORY
from sync_pipeline_tests.bench.measure import Done, Job, main

STAGED = ident("stg")


def load(job: Job) -> Done:
    """Every table, parents before children."""
    system = REVERSE if job.system == REVERSE.name else DESKTOP
    meant = sql.SQL("source = 'M'" if system is REVERSE else "true")
    parents = {e.name: Relations(e) for e in system.entities}
    done = Done(0)
    with psycopg.connect(job.source) as there, psycopg.connect(job.dsn) as here:
        here.execute("select set_config('work_mem', %s, true)", [WORK_MEMORY])
        for entity in system.in_order():
            done.read += _copy(there, here, entity, meant)
            here.execute(sql.SQL("analyze {} ({})").format(STAGED, columns(entity.key)))
            done.written += here.execute(_merge(here, Relations(entity), parents)).rowcount
            here.execute(sql.SQL("drop table {}").format(STAGED))
    return done


def _mapped(entity: Entity) -> list[Field]:
    return [f for f in entity.fields if f.sources]


def _copy(there: Connection, here: Connection, entity: Entity, meant: sql.SQL) -> int:
    fields = _mapped(entity)
    here.execute(
        sql.SQL("create temporary table {} as select {} from {} limit 0").format(
            STAGED, columns(f.column for f in fields), Relations(entity).target
        )
    )
    read = sql.SQL("copy (select {} from {} where {}) to stdout").format(
        columns(f.sources[0] for f in fields), ident(entity.source), meant
    )
    write = sql.SQL("copy {} from stdin").format(STAGED)
    size = 0
    with (
        there.cursor().copy(read) as rows,
        here.cursor().copy(write) as staged,
    ):
        for row in rows:
            size += len(row)
            staged.write(row)
    return size


def _merge(here: Connection, rel: Relations, parents: dict[str, Relations]) -> sql.Composed:
    """The guarded upsert, of the rows that the target would take."""
    entity = rel.entity
    assert entity.owner
    mapped = [f.column for f in _mapped(entity)]
    values = [c for c in mapped if c not in entity.key]
    needed = here.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnotnull",
        [rel.target.as_string(here)],
    ).fetchall()
    usable: list[sql.Composable] = [sql.SQL("true")]
    usable += [sql.SQL("{} is not null").format(ident(c)) for (c,) in needed if c in mapped]
    for f, link in entity.links:
        if link.required:
            [parent] = link.parents
            [key] = parents[parent].entity.key
            usable.append(
                sql.SQL("({c} is null or exists (select from {p} p where p.{key} = s.{c}))").format(
                    c=ident(f.column), p=parents[parent].target, key=ident(key)
                )
            )
    return sql.SQL(
        "merge into {target} t using (select distinct on ({keys}) * from {stg} s where {usable}"
        " order by {keys}, ctid) s on {same}"
        " when matched and {ours} and row({held}) is distinct from row({staged}) then update set {sets}"
        " when not matched then insert ({names}, {owner}) values ({given}, {mark})"
    ).format(
        target=rel.target,
        keys=columns(entity.key),
        stg=STAGED,
        usable=AND.join(usable),
        same=rel.same_key("t", "s"),
        ours=rel.ours("t"),
        held=columns(values, "t"),
        staged=columns(values, "s"),
        sets=listed(sql.SQL("{} = {}").format(ident(c), ident("s", c)) for c in values),
        names=columns(mapped),
        owner=ident(entity.owner.column),
        given=columns(mapped, "s"),
        mark=sql.Literal(entity.owner.mark),
    )


if __name__ == "__main__":
    main(load)
