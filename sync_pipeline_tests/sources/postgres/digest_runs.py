"""Tables and reads of the tests of range digests."""

from collections.abc import Callable

from sync_pipeline.model.entity import Field
from sync_pipeline.model.types import numeric, text
from sync_pipeline_tests.fixtures.sample_system import Workbench
from sync_pipeline_tests.sources.postgres.source_database import ID, item

MakeWorkbench = Callable[..., Workbench]


SIZED = item(Field("size", numeric, "size"))


RANGE = 128


PART = Field("part", text, "part", nulls_not_distinct=True)


PAIR = item(key=("id", "part"), columns=(ID, PART, Field("name", text, "name")))
