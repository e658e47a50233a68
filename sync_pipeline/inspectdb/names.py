"""Names that Python, Dagster and our own tables can live with, made from any names."""

import keyword
import re
import unicodedata
from collections.abc import Collection

SYSTEM_LENGTH = 24
# Postgres keeps 63 bytes of a name, and a base table's joins the system's and the entity's; its index adds
# to them.
_BOTH_LENGTH = 58
# Dagster refuses these for what it builds; its own list, and what Python keeps for itself.
_RESERVED = (
    "arg_dict", "bool", "conf", "config", "context", "dict", "float", "input", "input_arg_dict", "int",
    "meta", "output", "output_arg_dict", "str", "type",
)  # fmt: skip


def safe(name: str, *, taken: Collection[str] = (), longest: int = 63, kind: str = "table") -> str:
    """Lower-case letters, digits and underscores that resemble a name and begin with a letter.

    A number is added until it is not taken; it begins with `kind` where the name begins with no letter.
    """
    # Letters with marks lose them; those of other scripts have nothing to resemble them.
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    word = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not word or word[0].isdigit():
        word = f"{kind}_{word}".rstrip("_")
    word = word[:longest].rstrip("_")
    if word in _RESERVED or keyword.iskeyword(word):
        word += "_"
    found, number = word, 1
    while found in taken:
        number += 1
        found = f"{word[: longest - len(str(number)) - 1].rstrip('_')}_{number}"
    return found


def entity_names(system: str, tables: Collection[str]) -> dict[str, str]:
    """A name for the entity of each table; a table whose name is safe already keeps it."""
    longest = _BOTH_LENGTH - len(system)
    kept = {table for table in tables if safe(table, longest=longest) == table}
    names: dict[str, str] = {}
    for table in tables:
        taken = kept | set(names.values())
        names[table] = table if table in kept else safe(table, taken=taken, longest=longest)
    return names


def constants(system: str, entities: Collection[str]) -> dict[str, str]:
    """What Python calls each entity; the system itself is called by its own name."""
    names: dict[str, str] = {}
    for entity in entities:
        taken = {system.upper(), *names.values()}
        name = entity.upper().rstrip("_")
        while name in taken:
            name += "_TABLE"
        names[entity] = name
    return names
