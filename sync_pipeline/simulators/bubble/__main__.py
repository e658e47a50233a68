"""`python -m sync_pipeline.simulators.bubble`: the simulator as a process of its own.

Prints one line of JSON with `url`, `token`, `admin_url` and `pid` when it listens, and ends cleanly on
SIGTERM or SIGINT.
"""

from pathlib import Path

import click

from sync_pipeline.simulators.bubble.company import make_company
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.simulator import DEFAULT_TOKEN, BubbleSimulator
from sync_pipeline.simulators.process import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 lets the kernel choose.")
@click.option("--token", default=DEFAULT_TOKEN, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Another seed, another company.")
@click.option("--scale", default=1.0, show_default=True, help="1 is about 33,000 records.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Time that each call takes.")
@click.option("--jitter-ms", default=0.0, show_default=True, help="Added to it at random.")
@click.option("--rate-limit-per-minute", type=int, help="Further calls are answered 429.")
@click.option("--index-lag-ms", default=0.0, show_default=True, help="Until searches see a write.")
@click.option("--edits-per-page", default=0, show_default=True, help="Records that change.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Gets the printed line too.")
def main(
    *,
    host: str,
    port: int,
    token: str,
    seed: int,
    scale: float,
    ready_file: Path | None,
    **changes: float | None,
) -> None:
    """Serve an invented company as Bubble's Data API until a signal stops it."""
    options = Options()
    options.update(changes)
    company = make_company(seed, scale)
    serve(
        BubbleSimulator(company, options, token=token, host=host, port=port),
        ["url", "token", "admin_url"],
        ready_file,
    )


if __name__ == "__main__":
    main()
