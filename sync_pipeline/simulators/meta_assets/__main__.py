"""`python -m sync_pipeline.simulators.meta_assets`: the simulator as a process of its own.

Prints one line of JSON with `url`, `token`, `admin_url` and `pid` when it listens, and ends cleanly on
SIGTERM or SIGINT.
"""

from pathlib import Path

import click

from sync_pipeline.simulators.meta_assets.options import Options
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.simulators.process import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 lets the kernel choose.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Time that each call takes.")
@click.option("--jitter-ms", default=0.0, show_default=True, help="Added to it at random.")
@click.option("--rate-limit-per-minute", type=int, help="Further calls are answered 429.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Gets the printed line too.")
def main(*, host: str, port: int, ready_file: Path | None, **changes: float | None) -> None:
    """Serve invented WhatsApp Business accounts as the Graph API until a signal stops it."""
    options = Options()
    options.update(changes)
    serve(MetaSimulator(options, host=host, port=port), ["url", "token", "admin_url"], ready_file)


if __name__ == "__main__":
    main()
