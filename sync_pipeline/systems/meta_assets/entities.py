"""The cache of WhatsApp phone numbers, as data.

Other programs write it too: an embedded sign-up, a webhook, and a business lookup, which inserts rows without
a phone number. Those rows belong to it, because no record of the source has a null key.
"""

from sync_pipeline.model.entity import Entity, Field, Local, Serial, Stamp
from sync_pipeline.model.system import System
from sync_pipeline.model.types import text, timestamptz, uuid
from sync_pipeline.systems.meta_assets.settings import SOURCE

PHONE_NUMBER = Entity(
    name="meta_phone_number",
    table="meta_assets_cache",
    source="phone_numbers",
    key=("workspace_id", "phone_number_id"),
    # A record has only the requested fields.
    absent="unknown",
    description="Phone numbers of the WhatsApp Business accounts that workspaces have connected.",
    partition_by="workspace_id",
    partition_error="last_error",
    indexes=(("workspace_id",), ("workspace_id", "waba_id"), ("workspace_id", "last_synced_at")),
    columns=(
        Serial("id", uuid),
        Field("workspace_id", uuid, "workspace_id"),
        Local("business_id", text),
        Field("waba_id", text, "waba_id"),
        Field("phone_number_id", text, "id", null_means_other_owner=True),
        Field("display_phone_number", text, "display_phone_number", personal=True),
        Field("verified_name", text, "verified_name"),
        Field("quality_rating", text, "quality_rating", note="an open list; GREEN, YELLOW, RED"),
        Stamp("updated_at", timestamptz, default="now()"),
        Stamp("last_synced_at", timestamptz),
        Local("last_error", text, note="why the workspace's last sync failed"),
    ),
)

META_ASSETS = System("meta_assets", (PHONE_NUMBER,), source=SOURCE)
