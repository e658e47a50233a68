"""Reproducible random numbers: the same seed gives the same sequence on every machine."""

from random import Random


def seeded_random(*seed: object) -> Random:
    """A generator of its own for each combination of seeds.

    Seeded with text, because text is hashed with SHA-512 here, never with the process's own salt.
    """
    return Random("/".join(map(str, seed)))  # noqa: S311 - the data is invented, not secret
