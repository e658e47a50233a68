"""The Python text of the declarations."""

from collections.abc import Iterator, Sequence

from sync_pipeline.inspectdb.declarations import (
    FieldDeclaration,
    LinkDeclaration,
    Question,
    TableDeclaration,
)
from sync_pipeline.inspectdb.formatting import (
    LINE,
    Call,
    Part,
    comment,
    laid_out,
    quoted,
    text,
    visible,
    width,
)
from sync_pipeline.inspectdb.names import constants


def source(tables: Sequence[TableDeclaration], *, system: str, database: str, schema: str) -> str:
    """A module that declares the tables, parents before children, as a system."""
    entities = [table for table in tables if table.is_entity]
    names = constants(system, [table.name for table in tables if table.declarable])
    blocks = [_head(tables, database, schema), _imports(entities)]
    blocks += [list(_table(table, names)) for table in tables]
    members = Call("(", tuple(names[table.name] for table in entities), joined=False)
    blocks.append(laid_out(Call(f"{system.upper()} = System(", (quoted(system), members)), 0, ""))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _head(tables: Sequence[TableDeclaration], database: str, schema: str) -> list[str]:
    lines = [
        '"""Tables of a Postgres database as entities, as `sync-pipeline inspect` found them.',
        "",
        f"Database: {_harmless(database)}",
        f"Schema: {_harmless(schema)}",
    ]
    if any(table.undecided for table in tables):
        lines += ["", 'Comments that begin with "?" are for people to decide.']
    lines.append('"""')
    if any(m.code for t in tables for m in t.marks) or any(
        t.declarable and not t.key for t in tables
    ):
        lines += ["", "# ruff: noqa: ERA001  code that waits for a decision stands in comments"]
    return [*lines, "", "from __future__ import annotations"]


def _harmless(name: str) -> str:
    """A name as a docstring can hold it."""
    return visible(name).replace("\\", "/").replace('"', "'")


def _imports(entities: Sequence[TableDeclaration]) -> list[str]:
    system = "from sync_pipeline.model.system import System"
    lines = [] if entities else [system]
    if entities:
        words = ["Entity", "Field", *(["Link"] if any(t.links for t in entities) else [])]
        lines += [f"from sync_pipeline.model.entity import {', '.join(words)}", system]
        types = sorted({f.type.partition("(")[0] for t in entities for f in t.fields if f.type})
        line = f"from sync_pipeline.model.types import {', '.join(types)}"
        names = Call("from sync_pipeline.model.types import (", tuple(types), joined=False)
        lines += [line] if width(line) <= LINE else laid_out(names, 0, "")
    return lines


def _table(table: TableDeclaration, names: dict[str, str]) -> Iterator[str]:
    if not table.declarable:
        for mark in table.marks:
            yield from comment(f"{table.source}: {mark.text}", 0)
        return
    lines = [f"{names[table.name]} = Entity(", *_attributes(table), *_columns(table), ")"]
    yield from lines if table.is_entity else (f"# {line}" for line in lines)


def _attributes(table: TableDeclaration) -> Iterator[str]:
    yield f"    name={quoted(table.name)},"
    if table.table != table.name:
        yield f"    table={quoted(table.table)},"
    if table.schema != "public":
        yield f"    schema={quoted(table.schema)},"
    yield from laid_out(text("source=", table.source, 4), 4)
    if table.description:
        yield from laid_out(text("description=", table.description, 4), 4)
    yield from laid_out(_names("key=", table.key), 4)
    for mark in table.marks:
        yield from _mark(mark)
    yield '    absent="cleared",'
    if table.after:
        yield from laid_out(_names("after=", table.after), 4)


def _names(prefix: str, names: Sequence[str]) -> Call:
    return Call(f"{prefix}(", tuple(map(quoted, names)), joined=False)


def _mark(mark: Question) -> Iterator[str]:
    line = f"    # {mark.code}  # ? {visible(mark.text)}"
    if mark.code and width(line) <= LINE:
        yield line
    else:
        yield from comment(mark.text, 4)
        if mark.code:
            yield f"    # {mark.code}"


def _columns(table: TableDeclaration) -> Iterator[str]:
    links = {link.column: link for link in table.links}
    if len(table.fields) < 2 and not any(f.marks for f in table.fields):
        # The comma of a tuple of one keeps nothing on lines of its own.
        parts = tuple(_call(f, links.get(f.column)) for f in table.fields)
        yield from laid_out(Call("columns=(", parts, joined=False), 4)
        return
    yield "    columns=("
    for field in table.fields:
        if field.type:
            yield from _field(field, links.get(field.column))
        else:
            for mark in field.marks:
                yield from comment(f"{field.column}: {mark}", 8)
    yield "    ),"


def _call(field: FieldDeclaration, link: LinkDeclaration | None) -> Call:
    parts: list[Part] = [quoted(field.column), field.type, quoted(field.column)]
    if link:
        parts.append(_link(link))
    if field.nulls_not_distinct:
        parts.append("nulls_not_distinct=True")
    if field.note:
        parts.append(text("note=", field.note, 12))
    return Call("Field(", tuple(parts))


def _field(field: FieldDeclaration, link: LinkDeclaration | None) -> Iterator[str]:
    lines = laid_out(_call(field, link), 8)
    marked = f"{lines[0]}  # ? {visible('; '.join(field.marks))}"
    if len(lines) == 1 and len(field.marks) == 1 and width(marked) <= LINE:
        lines = [marked]
    else:
        for mark in field.marks:
            yield from comment(mark, 8)
    yield from lines


def _link(link: LinkDeclaration) -> Call:
    parts: list[Part] = [quoted(link.to)]
    if link.deferred:
        parts.append("deferred=True")
    if link.required:
        parts.append("required=True")
    if link.match:
        parts.append(_names("match=", link.match))
    return Call("link=Link(", tuple(parts))
