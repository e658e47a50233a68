"""A sample system with one entity for each kind of key."""

from sync_pipeline.model.entity import Entity, Field, Link, Local, Owner, Serial, Stamp
from sync_pipeline.model.system import System
from sync_pipeline.model.types import integer, numeric, text, timestamptz, varchar
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.meta_assets.entities import META_ASSETS
from sync_pipeline.systems.registry import SYSTEMS

CRATE = Entity(
    name="crate",
    source="crate",
    key=("crate_id",),
    absent="cleared",
    modified="packed_at",
    missing="delete",
    unique=(("seal",),),
    columns=(
        Serial("id"),
        Field("crate_id", text, "id"),
        Field("label", varchar(40), "label"),
        Field("seal", text, "seal"),
        Field("weight", numeric, "weight"),
        Field("pieces", integer, "pieces"),
        Field("packed_at", timestamptz, "packed"),
        Stamp("updated_at", timestamptz),
        Local("remark", text),
    ),
)

TOOL = Entity(
    name="tool",
    source="tool",
    key=("crate_id", "number"),
    absent="unknown",
    owner=Owner("source", ours=("Y",), mark="Y"),
    columns=(
        Field("crate_id", text, "crate", link=Link("crate")),
        Field("number", integer, "number"),
        Field("name", text, "name"),
        Local("source", varchar(1)),
        Local("shelf", text),
    ),
)

SEAT = Entity(
    name="seat",
    source="seat",
    key=("row", "place"),
    absent="cleared",
    columns=(
        Serial("id"),
        Field("row", text, "row"),
        Field("place", integer, "place", nulls_not_distinct=True),
        Field("colour", text, "colour"),
        Stamp("updated_at", timestamptz),
    ),
)

WAREHOUSE = System("warehouse", (CRATE, TOOL, SEAT))
EVERYTHING = tuple({s.name: s for s in (*SYSTEMS, INTEGRATIONS, META_ASSETS, WAREHOUSE)}.values())
