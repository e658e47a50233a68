"""The field changes that a plan would make, read for its preview."""

from psycopg import sql

from sync_pipeline.merge.plan import PlanSummary
from sync_pipeline.merge.preview import FieldChange, shortened
from sync_pipeline.merge.relations import Relations
from sync_pipeline.postgres.connect import Connection


def field_changes(
    connection: Connection, rel: Relations, summary: PlanSummary, limit: int
) -> list[FieldChange]:
    """Field changes that the plan would make, at most `limit`."""
    if not summary.taken:
        return []
    personal = {f.column for f in rel.entity.fields if f.personal}
    return [
        FieldChange(
            ", ".join(str(value) for value in key.values()),
            state,
            column,
            shortened(old, personal=column in personal),
            shortened(new, personal=column in personal),
        )
        for key, state, column, old, new in connection.execute(_changes(rel, summary, limit))
    ]


def _changes(rel: Relations, summary: PlanSummary, limit: int) -> sql.Composed:
    fields = rel.field_values(summary.taken, "t", "r")
    return rel.bind(fields=fields, limit=limit).compose("""
        select {key_json(p)}, p._state, v.name, v.old, v.new
        -- Limited before the join: each row that is written changes at least one field.
        from (select * from {plan} where _writes order by _seq limit {limit}) p
        join {rows} r on r._seq = p._seq
        join {target} t on {same_key(t, p)},
            lateral (values {fields}) as v(i, name, old, new)
        where p._d[v.i] & 1 = 1
        limit {limit}
    """)
