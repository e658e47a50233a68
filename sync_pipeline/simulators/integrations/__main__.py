"""`python -m sync_pipeline.simulators.integrations`: the simulator as a process of its own.

Prints one line of JSON with `url`, `client_id`, `client_secret`, `admin_url` and `pid` when it listens, and
ends cleanly on SIGTERM or SIGINT.
"""

from pathlib import Path

import click

from sync_pipeline.simulators.integrations.options import Options
from sync_pipeline.simulators.integrations.restaurants import Restaurants
from sync_pipeline.simulators.integrations.simulator import QuSimulator
from sync_pipeline.simulators.process import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 lets the kernel choose.")
@click.option("--seed", default=1, show_default=True, help="Another seed, other restaurants.")
@click.option("--scale", default=1.0, show_default=True, help="1 is 425 products a restaurant.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Time that each call takes.")
@click.option("--jitter-ms", default=0.0, show_default=True, help="Added to it at random.")
@click.option("--rate-limit-per-minute", type=int, help="Further calls are answered 429.")
@click.option("--extra-items", default=0, show_default=True, help="So many more; 1.5 KB each.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Gets the printed line too.")
def main(
    *,
    host: str,
    port: int,
    seed: int,
    scale: float,
    ready_file: Path | None,
    **changes: float | None,
) -> None:
    """Serve invented restaurants as Qu's gateway until a signal stops it."""
    options = Options()
    options.update(changes)
    serve(
        QuSimulator(Restaurants(seed, scale), options, host=host, port=port),
        ["url", "client_id", "client_secret", "admin_url"],
        ready_file,
    )


if __name__ == "__main__":
    main()
