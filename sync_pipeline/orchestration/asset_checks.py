"""Asset checks, built from the entities: one multi-asset check per entity.

A check reads, after the merge, and undoes nothing. What must not be written is stopped by the guard before
the commit; that belongs in `merge.guard`.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
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
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def entity_checks(
    system: System, target: str = TargetDatabase.key
) -> list[dg.AssetChecksDefinition]:
    """The checks of every entity; few steps per entity, because a step costs more than a query."""
    return [made for entity in system.in_order() for made in _checks_of(system, entity, target)]


def _checks_of(system: System, entity: Entity, target: str) -> Iterator[dg.AssetChecksDefinition]:
    specs = _specs(entity)
    if not any(True for _ in entity.links):
        yield _checks(system, entity, specs, target, "checks", _results)
        return
    # Deferred links point at entities that are synced later; before that, every new row would dangle.
    linked = [p for _, link in entity.links if link.deferred for p in link.parents]
    later = [name for name in dict.fromkeys(linked) if name != entity.name]
    links = dg.AssetCheckSpec(
        "links",
        asset=asset_key(entity),
        description="Every link points at an existing row.",
        additional_deps=[asset_key(system[name]) for name in later],
    )
    if later:
        yield _checks(system, entity, specs, target, "checks", _results)
        yield _checks(system, entity, [links], target, "links", _link_results)
    else:
        yield _checks(system, entity, [*specs, links], target, "checks", _results_and_links)


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


Check = Callable[
    [dg.AssetCheckExecutionContext, Connection, System, Entity], Iterator[dg.AssetCheckResult]
]


def _checks(  # noqa: PLR0917  a definition consists of all of them
    system: System,
    entity: Entity,
    specs: Sequence[dg.AssetCheckSpec],
    target: str,
    name: str,
    run: Check,
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
            if not preflight.exists(connection, Relations(entity)):
                why = "the table does not exist; migrate first"
                yield from (_result(entity, each, passed=False, why=why) for each in selected)
                return
            for result in run(context, connection, system, entity):
                if result.check_name in selected:
                    yield result

    return check


def _results(
    context: dg.AssetCheckExecutionContext, connection: Connection, system: System, entity: Entity
) -> Iterator[dg.AssetCheckResult]:
    del system
    last = listings.last_merge(connection, entity)
    yield _accounting(entity, last)
    yield _history_check(context, entity, "row_count", "dagster/row_count", DROP_PERCENT)
    yield _freshness(entity, last)
    yield _duration(entity, last)
    yield _errors(entity, last)
    if entity.unique_key:
        yield _unique_index(connection, entity)
        yield _duplicate_keys(connection, entity)
    if entity.owner:
        yield _history_check(context, entity, "owner_rows", "rows_of_other_owners", 0.0)
        yield _owner_conflicts(connection, entity)
        yield _counts_explained(connection, entity)
    if entity.owner and entity.owner.unmarked_is_ours:
        yield _owner_marks(connection, entity)


def _results_and_links(
    context: dg.AssetCheckExecutionContext, connection: Connection, system: System, entity: Entity
) -> Iterator[dg.AssetCheckResult]:
    yield from _results(context, connection, system, entity)
    yield _links(connection, system, entity)


def _link_results(
    context: dg.AssetCheckExecutionContext, connection: Connection, system: System, entity: Entity
) -> Iterator[dg.AssetCheckResult]:
    del context
    yield _links(connection, system, entity)


def _result(
    entity: Entity,
    name: str,
    *,
    passed: bool,
    why: str = "",
    severity: dg.AssetCheckSeverity = ERROR,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=asset_key(entity),
        check_name=name,
        severity=severity,
        description=why,
        metadata=metadata or {},
    )


def _accounting(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    if last is None or not last.counts:
        return _result(entity, "accounting", passed=True, why="nothing merged yet")
    read = last.counts["read"]
    accounted = sum(n for name, n in last.counts.items() if name != "read")
    return _result(entity, "accounting", passed=read == accounted, metadata=last.counts)


def _unique_index(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    found = list(preflight.findings(connection, Relations(entity)))
    why = "; ".join(f"{f.problem}: {f.remedy}" for f in found)
    return _result(entity, "unique_index", passed=not found, why=why)


def _duplicate_keys(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    repeated = audit.repeated_keys(connection, entity)
    return _result(
        entity, "no_duplicate_keys", passed=repeated == 0, metadata={"repeated_keys": repeated}
    )


def _limited(
    entity: Entity, name: str, why: str, *, limit: float = 0, **measured: float
) -> dg.AssetCheckResult:
    """A warning if the measured value exceeds the limit; the keyword names its metadata key."""
    [value] = measured.values()
    passed = value <= limit
    why = "" if passed else why
    return _result(entity, name, passed=passed, severity=WARN, why=why, metadata=measured)


def _duration(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    minutes = last.duration.total_seconds() / 60 if last else 0.0
    why = f"the run had been going for {minutes:.1f} minutes when this table was merged"
    return _limited(entity, "duration", why, limit=LONG.total_seconds() / 60, minutes=minutes)


def _errors(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    rejected = last.counts.get("rejected", 0) if last else 0
    command = command_line(
        f"rejected --entity {entity.name}", reverse=is_reverse(entity.key_prefix)
    )
    why = f"{rejected:,} records were rejected; see: {command}"
    return _limited(entity, "errors", why, limit=MOST_ERRORS, rejected=rejected)


def _owner_conflicts(connection: Connection, entity: Entity) -> dg.AssetCheckResult:
    """Unresolved conflicts over rows of other owners."""
    open_, examples = listings.open_conflicts(connection, entity, "owner")
    why = f"{open_:,} rows of other owners differ from the source: {'; '.join(examples)}"
    return _limited(entity, "owner_conflicts", why, open=open_)


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
        passed=lost == 0,
        severity=WARN,
        why=why,
        metadata={
            "at_source": found.at_source if found.at_source is not None else "not known",
            "on_target": found.on_target,
            "explanation": dg.MetadataValue.md(f"| | rows |\n|---|---:|\n{rows}"),
        },
    )


def _freshness(entity: Entity, last: LastMerge | None) -> dg.AssetCheckResult:
    if last is None:
        return _result(entity, "freshness", passed=False, severity=WARN, why="never synced")
    age = dt.datetime.now(dt.UTC) - last.finished_at
    landed = last.status in {"completed", "planned"}
    why = "" if landed else f"the last run {last.status}: {last.error}"
    return _result(
        entity,
        "freshness",
        passed=landed and age < LATE,
        severity=WARN,
        why=why,
        metadata={"age_minutes": age.total_seconds() / 60},
    )


def _links(connection: Connection, system: System, entity: Entity) -> dg.AssetCheckResult:
    """Dangling links are a warning: the database declares no foreign keys, and later runs fill them."""
    found = [d for d in audit.dangling_links(connection, system, entity) if d.values]
    lines = [
        f"- {d.column}: {d.values:,} point at no {' or '.join(d.parents)}, such as {', '.join(d.examples)}"
        for d in found
    ]
    return _result(
        entity,
        "links",
        passed=not found,
        severity=WARN,
        why="; ".join(f"{d.values:,} values of {d.column} point at nothing" for d in found),
        metadata={
            "dangling": sum(d.values for d in found),
            "details": dg.MetadataValue.md("\n".join(lines) or "None dangles."),
        },
    )


def _history_check(
    context: dg.AssetCheckExecutionContext, entity: Entity, name: str, metric: str, percent: float
) -> dg.AssetCheckResult:
    """Compare a metric of the last materialization with the one before it."""
    records = context.instance.fetch_materializations(asset_key(entity), limit=2).records
    values = [int(value) for r in records if isinstance(value := _metric(r, metric), int)]
    if len(values) < 2:
        return _result(entity, name, passed=True, why="no earlier run to compare with")
    now, before = values
    fell = before - now
    passed = fell <= 0 or fell * 100 <= percent * before
    why = "" if passed else f"{metric.removeprefix('dagster/')} fell from {before:,} to {now:,}"
    return _result(
        entity, name, passed=passed, severity=WARN, why=why, metadata={"now": now, "before": before}
    )


def _metric(record: dg.EventLogRecord, name: str) -> object:
    materialization = record.asset_materialization
    value = materialization.metadata.get(name) if materialization else None
    return value.value if value else None
