"""The phone cache's asset and its checks, with two that only this system has."""

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
def product_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """The checks that only this system has."""
    selected = {key.name for key in context.selected_asset_check_keys}
    with context.resources.target.connect() as connection:
        if "upsert_works" in selected:
            error = upsert_error(connection)
            yield dg.AssetCheckResult(
                passed=error is None,
                asset_key=asset_key(ENTITY),
                check_name="upsert_works",
                description=error or "",
            )
        if "workspace_errors" in selected:
            failing = failing_workspaces(connection)
            yield dg.AssetCheckResult(
                passed=not failing,
                asset_key=asset_key(ENTITY),
                check_name="workspace_errors",
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(f"{who}: {what}" for who, what in failing.items()),
                metadata={"workspaces": len(failing)},
            )


def upsert_error(connection: Connection) -> str | None:
    """The error of another program's upsert on the key; None if it works, or the table is empty.

    Tries one with an existing workspace, because of its foreign key, and an invented phone number, and rolls
    it back.
    """
    rel = Relations(ENTITY)
    statement = sql.SQL(
        """
        insert into {target} (workspace_id, phone_number_id, waba_id)
        select workspace_id, {probe}, {probe} from {target} limit 1
        on conflict (workspace_id, phone_number_id)
        do update set waba_id = excluded.waba_id, updated_at = now()
        """
    ).format(target=rel.target, probe=sql.Literal(PROBE))
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
    """The last error of failing workspaces, by workspace."""
    query = sql.SQL(
        """
        select workspace_id::text, max(last_error)
        from {}
        where last_error is not null
        group by 1
        order by 1
        limit 20
        """
    ).format(Relations(ENTITY).target)
    return dict(connection.execute(query).fetchall())


SOURCES = source_assets(META_ASSETS)
ENTITIES = entity_assets(META_ASSETS, ResourceKeys("meta_assets", merge="meta_assets_merge"))
CHECKS = [*entity_checks(META_ASSETS), product_checks]
ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [*SOURCES, *ENTITIES]
