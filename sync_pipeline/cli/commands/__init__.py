"""One module per command; importing this package registers them all with the group.

Imports stand inside functions where they cost: Dagster takes a second to import, and `--help` and usage
errors need not wait for it.
"""

from importlib import import_module
from pkgutil import iter_modules

from sync_pipeline.cli.framework import cli  # noqa: F401  complete once this is imported

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")
