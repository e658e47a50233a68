"""The health check of `doctor`: target, sources, Dagster's database, and the reverse target."""

from collections.abc import Collection, Iterator

import sqlalchemy as sa

from sync_pipeline.cli.migration import REVERSE_BOOKKEEPING
from sync_pipeline.doctor.database import examine as examine_database
from sync_pipeline.doctor.findings import Finding, joined
from sync_pipeline.doctor.fix import FixReport, dry_run_bookkeeping, dry_run_migration, fix
from sync_pipeline.errors import SyncError
from sync_pipeline.merge.schema.adopt import differences
from sync_pipeline.merge.schema.bookkeeping_tables import BOOK_SCHEMA, add_bookkeeping
from sync_pipeline.merge.schema.metadata import bookkeeping_metadata, metadata
from sync_pipeline.merge.schema.migrate import target_engine
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import connect
from sync_pipeline.remedies import MIGRATE
from sync_pipeline.settings import DAGSTER, Settings
from sync_pipeline.sources.field_coverage import column_like
from sync_pipeline.systems.definitions import RUNS, source_of
from sync_pipeline.systems.migration_hooks import AFTER_MIGRATION, TABLE_REPAIRS
from sync_pipeline.systems.registry import REVERSE_TARGET, REVERSES, SYSTEMS

# What a source keeps its records in, and the remedy where one is missing.
_TYPE = ("type", "enable it in the source's API settings")
_TABLE = ("table", "create it there, name its database, or let the role use its schema")


def examine(settings: Settings) -> list[Finding]:
    """Look at the target, at every source, and at databases that runs go back into."""
    found = [*_target(settings), *_dagster(settings)]
    is_broken = any(f.severity == "error" for f in found)
    for system in SYSTEMS:
        variable = system.source.missing(settings)
        if variable:
            problem = f"{variable} is not set: its runs are skipped"
            found.append(Finding("note", system.name, problem, "set it to sync this system"))
            continue
        at_source = list(_source(system))
        found += at_source
        reverse = REVERSES.get(system.name)
        if reverse and not any(f.where == _source_of(system) for f in at_source):
            found += _reverse_target(settings, reverse)
            # The target is the source of the reverse; its own errors are reported already.
            found += () if is_broken else _source(reverse, unmapped=False)
    return found


def repairs(settings: Settings, found: Collection[Finding], *, dry_run: bool) -> list[FixReport]:
    """Repair the keys in the target that the findings name; raises `SyncError` if it cannot be reached."""
    if not any(f.fixed_by == "repair" for f in found):
        return []
    with connect(settings.target()) as connection:
        return fix(connection, SYSTEMS, found, repairs=TABLE_REPAIRS, dry_run=dry_run)


def planned_migrations(settings: Settings) -> list[FixReport]:
    """What a migration would do to the target and the reverse target; it is rolled back."""
    planned = [dry_run_migration(settings.target(), metadata(SYSTEMS), AFTER_MIGRATION)]
    if not REVERSE_TARGET.system.source.missing(settings):
        own = bookkeeping_metadata(REVERSES.values())
        dsn = settings.database(REVERSE_TARGET.variable)
        planned.append(dry_run_bookkeeping(dsn, own, where=REVERSE_BOOKKEEPING))
    return planned


def _target(settings: Settings) -> Iterator[Finding]:
    try:
        with connect(settings.target()) as connection:
            yield from examine_database(connection, SYSTEMS, repairs=TABLE_REPAIRS)
    except SyncError as error:
        yield Finding("error", "target", str(error), "set SYNC_TARGET_DSN, or start the server")
        return
    meta = sa.MetaData()
    add_bookkeeping(meta)
    with target_engine(settings.target()).connect() as connection:
        notes = differences(connection, meta)
    remedy = "harmless unless values do not fit; a migration may change it"
    yield from joined(Finding("warning", n.table, n.text, remedy) for n in notes)


def _dagster(settings: Settings) -> Iterator[Finding]:
    if settings.dagster_dsn:
        try:
            connect(settings.dagster_dsn, variable=DAGSTER.name).close()
        except SyncError as error:
            remedy = "set SYNC_DAGSTER_DSN, or unset it to use the embedded server"
            yield Finding("error", "dagster", str(error), remedy)


def _reverse_target(settings: Settings, system: System) -> Iterator[Finding]:
    """Whether reverse runs can be merged into their database."""
    where = f"{system.key_prefix[0]}, reverse"
    try:
        REVERSE_TARGET.check(settings)
    except SyncError as error:
        yield Finding("note", where, str(error), "until then only reverse runs are skipped")
        return
    if RUNS[system.name].database.has_bookkeeping():
        with REVERSE_TARGET.open(settings) as connection:
            yield from examine_database(connection, [system], public=BOOK_SCHEMA)
    else:
        variable = REVERSE_TARGET.variable
        problem = (
            f"the database that {variable} names has no bookkeeping yet, so no reverse run starts"
        )
        yield Finding("note", where, problem, MIGRATE)


def _source_of(system: System) -> str:
    return f"{' '.join(system.key_prefix)} source"


def _source(system: System, *, unmapped: bool = True) -> Iterator[Finding]:
    """What the entities name and the source lacks; with `unmapped`, what it has that they do not name."""
    source = source_of(system.name)
    try:
        described = source.fields()
    except SyncError as error:
        remedy = "fix what the message names; until then no run reads this source"
        yield Finding("error", _source_of(system), str(error), remedy)
        return
    finally:
        source.close()
    kind, remedy = _TYPE if system.source.api else _TABLE
    for entity in system.entities:
        where = f"{system.name}/{entity.name}"
        fields = described.get(entity.source.lower())
        if fields is None:
            yield Finding("error", where, f"the source has no {kind} {entity.source}", remedy)
            continue
        owner = {entity.owner.source} if entity.owner and entity.owner.source else set()
        mapped = {s for f in entity.fields for s in f.sources} | owner
        yield from _fields(where, set(fields), mapped, unmapped=unmapped)


def _fields(
    where: str, present: set[str], mapped: set[str], *, unmapped: bool
) -> Iterator[Finding]:
    missing = sorted(mapped - present)
    if missing:
        yield Finding(
            "warning",
            where,
            f"the source no longer describes {', '.join(missing)}",
            "renamed or hidden there? change the entity's field",
        )
    rest = sorted(present - mapped)
    if rest and unmapped:
        columns = ", ".join(_with_column(name) for name in rest)
        yield Finding(
            "note", where, f"not mapped: {columns}", "add a Field to the entity to sync it"
        )


def _with_column(name: str) -> str:
    """A source field, and the column that it would get where that is another name."""
    column = column_like(name)
    return name if column == name else f"{name} ({column})"
