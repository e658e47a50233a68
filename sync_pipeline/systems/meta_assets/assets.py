"""The phone cache's asset and its checks; among them the questions that its product asks."""

from collections.abc import Iterator

import dagster as dg
import psycopg
from psycopg import sql

from sync_pipeline.merge.relations import Relations
from sync_pipeline.orchestration.asset_checks import entity_checks
from sync_pipeline.orchestration.asset_keys import asset_key
from sync_pipeline.orchestration.assets import ResourceKeys, entity_assets, source_assets
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail
from sync_pipeline.systems.meta_assets.entities import META_ASSETS, PHONE_NUMBER

ENTITY = META_ASSETS[PHONE_NUMBER.name]
PROBE = "sync_pipeline upsert probe"


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "upsert_works",
            asset=asset_key(ENTITY),
            description="Other programs can upsert on the key: tried in a transaction that is rolled back.",
        ),
        dg.AssetCheckSpec(
            "workspace_errors",
            asset=asset_key(ENTITY),
            description="No workspace's rows say that its last sync failed.",
        ),
    ],
    name="meta_assets__meta_phone_number__questions",
    required_resource_keys={"target"},
    can_subset=True,
)
def questions(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Ask what no other check asks."""
    wanted = {key.name for key in context.selected_asset_check_keys}
    with context.resources.target.connect() as connection:
        if "upsert_works" in wanted:
            why = upsert_trouble(connection)
            yield dg.AssetCheckResult(
                passed=why is None,
                asset_key=asset_key(ENTITY),
                check_name="upsert_works",
                description=why or "",
            )
        if "workspace_errors" in wanted:
            failing = failing_workspaces(connection)
            yield dg.AssetCheckResult(
                passed=not failing,
                asset_key=asset_key(ENTITY),
                check_name="workspace_errors",
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(f"{who}: {what}" for who, what in failing.items()),
                metadata={"workspaces": len(failing)},
            )


def upsert_trouble(connection: Connection) -> str | None:
    """Why another program's upsert on the key would fail; None if it works, or has nobody to be tried on.

    It is tried on a workspace that is there, with a phone number that is nobody's: a foreign key refuses
    invented workspaces. Nothing of it stays.
    """
    rel = Relations(ENTITY)
    statement = sql.SQL(
        "insert into {} (workspace_id, phone_number_id, waba_id) select workspace_id, {}, {}"
        " from {} limit 1 on conflict (workspace_id, phone_number_id)"
        " do update set waba_id = excluded.waba_id, updated_at = now()"
    ).format(rel.target, sql.Literal(PROBE), sql.Literal(PROBE), rel.target)
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("set local lock_timeout = '5s'")
            connection.execute(statement)
            connection.execute(statement)
    except psycopg.Error as error:
        key = ", ".join(ENTITY.key)
        return (
            f"an upsert on ({key}) fails: {message_with_detail(error)}; run: sync-pipeline doctor"
        )
    return None


def failing_workspaces(connection: Connection) -> dict[str, str]:
    """What the rows of each workspace say went wrong, by workspace."""
    query = sql.SQL(
        "select workspace_id::text, max(last_error) from {} where last_error is not null"
        " group by 1 order by 1 limit 20"
    ).format(Relations(ENTITY).target)
    return dict(connection.execute(query).fetchall())


SOURCES = source_assets(META_ASSETS)
ENTITIES = entity_assets(META_ASSETS, ResourceKeys("meta_assets", merge="meta_assets_merge"))
CHECKS = [*entity_checks(META_ASSETS), questions]
ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [*SOURCES, *ENTITIES]
