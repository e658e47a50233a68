"""A fault that is made in a table, and SQL that several faults share."""

from dataclasses import dataclass

from sync_pipeline.doctor.findings import Severity


@dataclass(frozen=True)
class Fault:
    """A fault of a table, and the finding that the doctor reports for it.

    Attributes:
        name: of the test.
        statements: SQL that makes it.
        where: system and entity.
        severity: of the finding.
        expected: texts that stand in problem, cost and remedy.
        fixed_by: how `doctor --fix` fixes it.
    """

    name: str
    statements: str
    where: str
    severity: Severity
    expected: tuple[str, ...]
    fixed_by: str = ""


def error(name: str, statements: str, where: str, *expected: str, fixed_by: str = "") -> Fault:
    return Fault(name, statements, where, "error", expected, fixed_by)


def warning(name: str, statements: str, where: str, *expected: str) -> Fault:
    return Fault(name, statements, where, "warning", expected)


def note(name: str, statements: str, where: str, *expected: str) -> Fault:
    return Fault(name, statements, where, "note", expected)


UNKEYED = "drop index crate_crate_id_key;"
STUCK = "every sync of this table fails with SQLSTATE 42P10 before it writes anything"
FIX = "sync-pipeline doctor --fix"
PHONES = "insert into meta_assets_cache (workspace_id, phone_number_id) values"
W1, W2 = (f"'{n}0000000-0000-4000-8000-000000000000'" for n in (1, 2))
PRODUCTS = "integration_products_wand_source_id_source_config_id_external_key"
ROLE = (
    "create role clerk; grant usage on schema public, sync, sync_base to clerk;"
    "grant all on all tables in schema public, sync, sync_base to clerk;"
    "grant all on all sequences in schema public to clerk;"
)
