"""Links from foreign keys, and which of them are deferred because they would close a cycle."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sync_pipeline.inspectdb.declarations import LinkDeclaration, Question, TableDraft
from sync_pipeline.inspectdb.ordering import Edge, to_defer
from sync_pipeline.postgres.catalog import ForeignKey

# The fewest are deferred, and of as few those that are no links, then those that a row can do without.
_NO_LINK, _OPTIONAL, _REQUIRED = 1000, 1001, 1002


@dataclass(frozen=True)
class _Reference:
    """A foreign key to an entity; `column` is empty where several columns refer together."""

    child: str
    column: str
    parent: str
    match: tuple[str, ...]
    required: bool

    @property
    def weight(self) -> int:
        """The cost of deferring it."""
        if not self.column:
            return _NO_LINK
        return _REQUIRED if self.required else _OPTIONAL


@dataclass
class Links:
    """What the foreign keys of a table are declared as: those of several columns as `after`, or as marks."""

    links: dict[str, LinkDeclaration] = field(default_factory=dict)
    after: dict[str, None] = field(default_factory=dict)
    column_marks: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    marks: list[Question] = field(default_factory=list)


def linked(drafts: Mapping[str, TableDraft]) -> tuple[dict[str, Links], set[Edge]]:
    """The links of every table by its name, and who comes after whom because of them."""
    found = {name: Links() for name in drafts}
    references = [p for draft in drafts.values() for p in _references(drafts, draft, found)]
    weights: Counter[Edge] = Counter()
    for p in references:
        weights[p.child, p.parent] += p.weight
    deferred = to_defer(list(drafts), weights)
    for p in references:
        at, late = found[p.child], p.child == p.parent or (p.child, p.parent) in deferred
        if p.column:
            # In a cycle each row would wait for the other for ever, so no link of it is required.
            at.links[p.column] = LinkDeclaration(
                p.column, drafts[p.parent].name, p.match, late, p.required and not late
            )
        elif not late:
            at.after[drafts[p.parent].name] = None
    for at in found.values():
        for link in (link for link in at.links.values() if not link.deferred):
            at.after.pop(link.to, None)
    kept = {(c, p) for c, p in weights if c != p and (c, p) not in deferred}
    return found, kept


def _references(
    drafts: Mapping[str, TableDraft], child: TableDraft, found: Mapping[str, Links]
) -> Iterator[_Reference]:
    at = found[child.table.name]
    taken: set[str] = set()
    for key in child.table.foreign_keys:
        if key.column and not child.columns[key.column].type:
            continue
        target = f"references {_named(key, child)}"
        parent = drafts.get(key.parent.table) if key.parent.schema == child.table.schema else None
        obstacle = _obstacle(key, child, parent, taken)
        if not key.column:
            more = f", {obstacle}" if obstacle else ""
            at.marks.append(
                Question(f"({', '.join(key.columns)}) {target}{more}; a link has one column")
            )
        elif obstacle:
            at.column_marks[key.column].append(f"{target}, {obstacle}")
        if parent and not obstacle:
            taken.add(key.column)
            yield _reference(key, child, parent)


def _reference(key: ForeignKey, child: TableDraft, parent: TableDraft) -> _Reference:
    never_null = {c.name for c in child.table.columns.values() if c.not_null}
    return _Reference(
        child=child.table.name,
        column=key.column,
        parent=parent.table.name,
        match=key.parent_columns if key.column and key.parent_columns != parent.key.columns else (),
        required=key.valid and never_null.issuperset(key.columns),
    )


def _obstacle(
    key: ForeignKey, child: TableDraft, parent: TableDraft | None, taken: set[str]
) -> str:
    """Why a foreign key cannot become a link, empty where it can."""
    if parent is None:
        return "which is not among these tables"
    if not parent.is_entity:
        return "which has no key here" if not parent.problem else "which is left out"
    return _obstacle_of_one(key, child, parent, taken) if key.column else ""


def _obstacle_of_one(
    key: ForeignKey, child: TableDraft, parent: TableDraft, taken: set[str]
) -> str:
    """Why the only column of a foreign key cannot become a link."""
    here, there = child.columns[key.column], parent.columns[key.parent_columns[0]]
    if not there.type:
        return "which is left out"
    if not here.equals(there):
        return f"whose type {there.type} is not compared with {here.type}"
    if here.column in taken:
        return "and a column points at one entity only"
    return ""


def _named(key: ForeignKey, child: TableDraft) -> str:
    table = key.parent.table if key.parent.schema == child.table.schema else str(key.parent)
    return f"{table} ({', '.join(key.parent_columns)})"
