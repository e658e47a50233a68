"""Asset checks, built from the entities: one multi-asset check per entity.

A check reads, after the merge, and undoes nothing. What must not be written is stopped by the guard before
the commit; that belongs in `merge.guard`.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from sync_pipeline.merge import preflight
from sync_pipeline.merge.bookkeeping import listings
from sync_pipeline.merge.bookkeeping.listings import LastMerge
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.review import audit
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.orchestration.asset_keys import asset_key
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import command_line, is_reverse

LATE = dt.timedelta(hours=26)
LONG = dt.timedelta(minutes=10)
MOST_ERRORS = 10
DROP_PERCENT = 5.0
ERRORS = {"accounting", "unique_index", "no_duplicate_keys"}
"""Checks whose failure is an error; that of any other is a warning."""


def entity_checks(
    system: System, target: str = TargetDatabase.key
) -> list[dg.AssetChecksDefinition]:
    """The checks of every entity, merged into the database of the resource `target`.

    Few steps per entity, because a step costs more than a query.
    """
    return [made for entity in system.in_order() for made in _checks_of(system, entity, target)]


def _checks_of(system: System, entity: Entity, target: str) -> Iterator[dg.AssetChecksDefinition]:
    specs = _specs(entity)
    # Deferred links point at entities that are synced later; before that, every new row would dangle.
    linked = [p for _, link in entity.links if link.deferred for p in link.parents]
    later = [name for name in dict.fromkeys(linked) if name != entity.name]
    links = dg.AssetCheckSpec(
        "links",
        asset=asset_key(entity),
        description="Every link points at an existing row.",
        additional_deps=[asset_key(system[name]) for name in later],
    )
    if any(entity.links) and not later:
        specs.append(links)
    yield _checks(system, entity, specs, target, "checks")
    if later:
        yield _checks(system, entity, [links], target, "links")


def _specs(entity: Entity) -> list[dg.AssetCheckSpec]:
    described = {
        "accounting": "Every record of the last run ended in exactly one count.",
        "row_count": f"The table has not lost more than {DROP_PERCENT:g} % of its rows since the run before.",
        "freshness": f"The last merge succeeded, and less than {LATE.total_seconds() / 3600:g} hours ago.",
        "duration": f"The last run merged this table in its first {LONG.total_seconds() / 60:g} minutes.",
        "errors": f"The last run rejected no more than {MOST_ERRORS} records.",
    }
    if entity.unique_key:
        described["unique_index"] = "The key is backed by a valid, total unique index."
        described["no_duplicate_keys"] = "No key occurs twice in the table."
    if entity.owner:
        described["owner_rows"] = "Rows of other owners have not become fewer."
        described["owner_conflicts"] = "The source changes no row of another owner."
        described["counts_explained"] = (
            "The difference between the source's count and the table's is explained row by row."
        )
    if entity.owner and entity.owner.unmarked_is_ours:
        described["owner_marks"] = "Every row names its owner."
    return [
        dg.AssetCheckSpec(name, asset=asset_key(entity), description=text)
        for name, text in described.items()
    ]


def _checks(
    system: System, entity: Entity, specs: Sequence[dg.AssetCheckSpec], target: str, name: str
) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        specs=specs,
        name=f"{system.name}__{entity.name}__{name}",
        required_resource_keys={target},
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        with getattr(context.resources, target).connect() as connection:
            if preflight.exists(connection, Relations(entity)):
                checks = _functions(context, connection, system, entity)
                yield from (checks[each]() for each in checks if each in selected)
                return
        for each in selected:
            yield dg.AssetCheckResult(
                passed=False,
                asset_key=asset_key(entity),
                check_name=each,
                description="the table does not exist; migrate first",
            )

    return check


def _functions(
    context: dg.AssetCheckExecutionContext, connection: Connection, system: System, entity: Entity
) -> dict[str, Callable[[], dg.AssetCheckResult]]:
    last = listings.last_merge(connection, entity)
    other_rows = "rows_of_other_owners"
    return {
        "accounting": lambda: _accounting(entity, last),
        "row_count": lambda: _history_check(
            context, entity, "row_count", "dagster/row_count", DROP_PERCENT
        ),
        "freshness": lambda: _freshness(entity, last),
        "duration": lambda: _duration(entity, last),
        "errors": lambda: _errors(entity, last),
        "unique_index": lambda: _unique_index(connection, entity),
        "no_duplicate_keys": lambda: _duplicate_keys(connection, entity),
        "owner_rows": lambda: _history_check(context, entity, "owner_rows", other_rows, 0.0),
        "owner_conflicts": lambda: _owner_conflicts(connection, entity),
        "counts_explained": lambda: _counts_explained(connection, entity),
        "owner_marks": lambda: _owner_marks(connection, entity),
        "links": lambda: _links(connection, system, entity),
    }


def _result(
    entity: Entity, name: str, why: str = "", /, *, passed: bool, **metadata: Any
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=asset_key(entity),
        check_name=name,
        severity=dg.AssetCheckSeverity.ERROR if name in ERRORS else dg.AssetCheckSeverity.WARN,
        description=why,
        metadata=metadata,
    )


def _accounting(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    if last is None or not last.counts:
        return _result(entity, "accounting", "nothing merged yet", passed=True)
    read = last.counts["read"]
    accounted = sum(n for name, n in last.counts.items() if name != "read")
    return _result(entity, "accounting", passed=read == accounted, **last.counts)


def _unique_index(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    found = list(preflight.findings(connection, Relations(entity)))
    why = "; ".join(f"{f.problem}: {f.remedy}" for f in found)
    return _result(entity, "unique_index", why, passed=not found)


def _duplicate_keys(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    repeated = audit.repeated_keys(connection, entity)
    return _result(entity, "no_duplicate_keys", passed=repeated == 0, repeated_keys=repeated)


def _limited(
    entity: Entity, name: str, why: str, *, limit: float = 0, **measured: float
) -> dg.AssetCheckResult:
    """A warning if the measured value exceeds the limit; the keyword names its metadata key."""
    [value] = measured.values()
    passed = value <= limit
    return _result(entity, name, "" if passed else why, passed=passed, **measured)


def _duration(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    minutes = last.duration.total_seconds() / 60 if last else 0.0
    why = f"the run had been going for {minutes:.1f} minutes when this table was merged"
    return _limited(entity, "duration", why, limit=LONG.total_seconds() / 60, minutes=minutes)


def _errors(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    rejected = last.counts.get("rejected", 0) if last else 0
    words, reverse = f"rejected --entity {entity.name}", is_reverse(entity.key_prefix)
    why = f"{rejected:,} records were rejected; see: {command_line(words, reverse=reverse)}"
    return _limited(entity, "errors", why, limit=MOST_ERRORS, rejected=rejected)


def _owner_conflicts(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    """Unresolved conflicts over rows of other owners."""
    count, examples = listings.open_conflicts(connection, entity, "owner")
    why = f"{count:,} rows of other owners differ from the source: {'; '.join(examples)}"
    return _limited(entity, "owner_conflicts", why, open=count)


def _owner_marks(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    unmarked = audit.unmarked_rows(connection, entity)
    why = f"{unmarked:,} rows name no owner and count as the source's"
    return _limited(entity, "owner_marks", why, unmarked=unmarked)


def _counts_explained(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    found = audit.difference(connection, entity)
    lost = found.unexplained
    why = ""
    if lost > 0:
        why = f"{lost:,} {'record' if lost == 1 else 'records'} of the source unaccounted for"
    elif lost < 0:
        why = f"{-lost:,} more accepted than the source holds"
    rows = "\n".join(f"| {what} | {count:,} |" for what, count in found.table())
    return _result(
        entity,
        "counts_explained",
        why,
        passed=lost == 0,
        at_source=found.at_source if found.at_source is not None else "not known",
        on_target=found.on_target,
        explanation=dg.MetadataValue.md(f"| | rows |\n|---|---:|\n{rows}"),
    )


def _freshness(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    if last is None:
        return _result(entity, "freshness", "never synced", passed=False)
    age = dt.datetime.now(dt.UTC) - last.finished_at
    landed = last.status in {"completed", "planned"}
    why = "" if landed else f"the last run {last.status}: {last.error}"
    minutes = age.total_seconds() / 60
    return _result(entity, "freshness", why, passed=landed and age < LATE, age_minutes=minutes)


def _links(connection: Connection, system: System, entity: Entity) -> dg.AssetCheckResult:
    """Dangling links are a warning: the database declares no foreign keys, and later syncs repair them."""
    found = [d for d in audit.dangling_links(connection, system, entity) if d.values]
    lines = [
        f"- {d.column}: {d.values:,} point at no {' or '.join(d.parents)}, such as {', '.join(d.examples)}"
        for d in found
    ]
    return _result(
        entity,
        "links",
        "; ".join(f"{d.values:,} values of {d.column} point at nothing" for d in found),
        passed=not found,
        dangling=sum(d.values for d in found),
        details=dg.MetadataValue.md("\n".join(lines) or "None dangles."),
    )


def _history_check(
    context: dg.AssetCheckExecutionContext, entity: Entity, name: str, metric: str, percent: float
) -> dg.AssetCheckResult:
    """Compare a metric of the last materialization with the one before it."""
    records = context.instance.fetch_materializations(asset_key(entity), limit=2).records
    values = [int(value) for r in records if isinstance(value := _metric(r, metric), int)]
    if len(values) < 2:
        return _result(entity, name, "no earlier run to compare with", passed=True)
    now, before = values
    passed = (before - now) * 100 <= percent * before
    why = "" if passed else f"{metric.removeprefix('dagster/')} fell from {before:,} to {now:,}"
    return _result(entity, name, why, passed=passed, now=now, before=before)


def _metric(record: dg.EventLogRecord, name: str) -> object:
    materialization = record.asset_materialization
    value = materialization.metadata.get(name) if materialization else None
    return value.value if value else None
