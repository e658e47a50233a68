"""`request`: queue a partial resync for an event of another program."""

from typing import Any, BinaryIO

import click
import orjson

from sync_pipeline.cli import framework, output
from sync_pipeline.cli.databases import TARGET
from sync_pipeline.errors import ConversionError
from sync_pipeline.systems.registry import EVENTS

_BY_NAME = {event.name: event for event in EVENTS}
_HELP = (
    "Queue a resync of the records that an event of another program is about.\n\n"
    "FILE is the event's JSON, - for stdin. A run serves the request while the daemon runs"
    " (sync-pipeline up).\n\nEVENT is one of:\n\n"
)


@framework.command(
    examples=(
        "request whatsapp-webhook body.json",
        "request embedded-signup - --for WORKSPACE  # from stdin",
    ),
    short_help="Queue a resync for an event, such as a webhook.",
    help=_HELP
    + "\n\n".join(
        f"{e.name}: {e.description}{f' (with --for {e.subject})' if e.subject else ''}"
        for e in EVENTS
    ),
)
@click.argument("event", type=click.Choice(list(_BY_NAME)))
@click.argument("file", type=click.File("rb"))
@click.option("--for", "subject", metavar="ID", help="Whose event it is, where its JSON omits it.")
def request(*, event: str, file: BinaryIO, subject: str | None, as_json: bool) -> None:
    """Queue a request."""
    kind = _BY_NAME[event]
    if bool(subject) != bool(kind.subject):
        need = f"needs --for {kind.subject}" if kind.subject else "takes no --for"
        raise click.UsageError(f"{event} {need}")
    content = _json_object(file)
    with TARGET.session() as connection:
        keys = kind.queue(connection, content, subject or "")
    if as_json:
        output.print_json({"status": "completed", "keys": keys})
    elif keys:
        output.to_stdout().print(f"Requested a resync of {', '.join(keys)}.", soft_wrap=True)
    else:
        output.to_stdout().print("Nothing to sync: the event concerns no synced record.")


def _json_object(file: BinaryIO) -> dict[str, Any]:
    try:
        content = orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        raise ConversionError(f"{file.name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ConversionError(f"{file.name} is not a JSON object")
    return content
