"""`new_server` makes embedded servers and leaves none running."""

from sync_pipeline_tests.dev.embedded_postgres.servers import new_server

__all__ = ["new_server"]
