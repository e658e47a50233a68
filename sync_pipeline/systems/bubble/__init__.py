"""Bubble.io into Postgres. Import concrete submodules."""
