"""`history`: recent runs, or one of them in full."""

import click

from sync_pipeline.cli import arguments, framework, output
from sync_pipeline.cli.databases import TARGET, Database, count_reverse_runs, reverse_option
from sync_pipeline.merge.bookkeeping import listings


@framework.command(
    examples=("history", "history --limit 3 --json", "history 95241c4d", "history --reverse"),
    short_help="Show recent runs with their counts, or one in full.",
    help="Show recent runs with their counts, newest first; with RUN, one run as `sync` shows it.\n\n"
    "RUN is `latest`, or a run's id or its beginning.",
)
@click.argument("run", required=False, callback=arguments.run_beginning)
@arguments.limit(20)
@reverse_option("The runs into the desktop database.")
def history(*, run: str | None, limit: int, database: Database, as_json: bool) -> int:
    """Recent runs, or one of them."""
    if run:
        return _show_run(database, run, as_json=as_json)
    with database.session() as connection:
        rows = listings.runs(connection, limit)
        others = count_reverse_runs() if database is TARGET and not as_json else None
    if as_json:
        output.print_json({"runs": rows})
    else:
        output.runs(output.to_stdout(), rows, reverse=database.reverse, others=others or 0)
    return 0


def _show_run(database: Database, beginning: str, *, as_json: bool) -> int:
    from sync_pipeline.merge.bookkeeping import runs
    from sync_pipeline.orchestration import run_report

    with database.session() as connection:
        run_id = arguments.run_named(database, connection, beginning)
        row = runs.history_row(connection, run_id)
        assert row
        system, error = row.metadata.get("system"), row.metadata.get("error")
        report = run_report.report(connection, run_id, row.status, [error] if error else [])
    if as_json:
        output.print_json(report)
    else:
        output.run_report(output.to_stdout(), report, system=database.title(system or "run"))
    return 0
