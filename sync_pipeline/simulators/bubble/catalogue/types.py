"""How the catalogue describes a type of thing and its fields. The types are beside this module."""

from dataclasses import dataclass

from sync_pipeline.simulators.bubble.value_generators import ValueGenerator


@dataclass(frozen=True, slots=True)
class FieldType:
    """One field of a type, as its app's editor shows it."""

    display: str
    kind: str
    fill: float = 0.0
    make: ValueGenerator | None = None


@dataclass(frozen=True, slots=True)
class ThingType:
    """One type of thing; `count` is how many the company has at full size."""

    display: str
    count: int
    fields: tuple[FieldType, ...]

    @property
    def name(self) -> str:
        """The type as URLs name it: lower case, without spaces."""
        return type_name(self.display)


def type_name(spelling: str) -> str:
    """The name of a type in URLs, from any spelling of it."""
    return spelling.replace(" ", "").lower()


BUILT_IN = (
    FieldType("_id", "text"),
    FieldType("Created Date", "date"),
    FieldType("Modified Date", "date"),
    FieldType("Created By", "user"),
    FieldType("Slug", "text"),
)
