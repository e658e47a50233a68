"""Options of a running Bubble simulator.

Where Bubble's behaviour is not documented, an option selects the reading, and the default is the
likelier one; a client should work with either.
"""

from dataclasses import dataclass
from typing import Literal

from sync_pipeline.simulators.options import SimulatorOptions

EditKind = Literal["modify", "create", "delete"]


@dataclass(slots=True, kw_only=True)
class Options(SimulatorOptions):
    """The options of every simulator, and Bubble's own.

    Attributes:
        page_limit: most results in a page, whatever `limit` asks for.
        cursor_cap: rank from which a listing answers no results, though some remain.
        cursor_cap_answers: whether `cursor` equal to the cap still answers.
        index_lag_ms: time after which a write can be found by a search; reads by id see it at once.
        exclude_remaining_drops_key: `exclude_remaining` drops `remaining`, or else it is 0.
        empty_yes_no_as_absent: an empty yes/no field is left out, or else it is false.
        malformed_constraint: an object without key or constraint_type is refused or overlooked.
        disabled_types: types that the Data API does not expose: they answer 404.
        unconstrainable_fields: display names whose constraints are silently not applied, as
            privacy rules do to users' tokens: the answer is too large.
        read_only: whether creating, changing and deleting are refused for lack of permission.
        meta_needs_token: whether `/meta` and its swagger file require a token; often they do not.
        edits_per_page: records of the type that change before each page is answered.
        edit_kinds: which changes those are, in turn.
        edits_seed: decides which records they hit.
    """

    page_limit: int = 100
    cursor_cap: int = 50_000
    cursor_cap_answers: bool = False
    index_lag_ms: float = 0.0
    exclude_remaining_drops_key: bool = True
    empty_yes_no_as_absent: bool = True
    malformed_constraint: Literal["refuse", "overlook"] = "refuse"
    disabled_types: tuple[str, ...] = ()
    unconstrainable_fields: tuple[str, ...] = ()
    read_only: bool = False
    meta_needs_token: bool = False
    edits_per_page: int = 0
    edit_kinds: tuple[EditKind, ...] = ("modify", "create", "delete")
    edits_seed: int = 1
