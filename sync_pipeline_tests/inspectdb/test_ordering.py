"""Which links are deferred, against every order that there is."""

import itertools
import random

from sync_pipeline.inspectdb.ordering import Edge, in_order, to_defer


def invented(rng: random.Random, tables: int, links: int) -> dict[Edge, int]:
    nodes = [f"t{i}" for i in range(tables)]
    return {(rng.choice(nodes), rng.choice(nodes)): rng.randint(1, 3) for _ in range(links)}


def least(nodes: list[str], edges: dict[Edge, int]) -> int:
    """The weight of what is deferred in the best of all orders."""
    return min(
        sum(w for (c, p), w in edges.items() if order.index(p) > order.index(c))
        for order in itertools.permutations(nodes)
    )


def test_what_is_deferred_weighs_the_least_and_leaves_no_cycle() -> None:
    rng = random.Random(7)
    for _ in range(60):
        tables = rng.randint(2, 5)
        edges = invented(rng, tables, rng.randint(1, 12))
        nodes = [f"t{i}" for i in range(tables)]

        deferred = to_defer(nodes, edges)

        assert sum(edges[edge] for edge in deferred) == least(nodes, edges)
        assert all(child != parent for child, parent in deferred)
        order = in_order(nodes, {e for e in edges if e[0] != e[1]} - deferred)
        assert sorted(order) == nodes


def test_a_large_tangle_is_undone_too_and_what_hangs_on_it_is_left_alone() -> None:
    rng = random.Random(7)
    ring = [f"r{i:02}" for i in range(30)]
    edges = {(ring[i - 1], ring[i]): 1 for i in range(30)}
    tangle = {(f"x{a}", f"x{b}"): w for (a, b), w in invented(rng, 40, 160).items() if a != b}
    leaves = {(f"leaf{i}", ring[i]): 1 for i in range(30)}
    everything = edges | tangle | leaves
    nodes = sorted({node for edge in everything for node in edge})

    deferred = to_defer(nodes, everything)

    assert len(deferred & edges.keys()) == 1
    assert len(deferred & tangle.keys()) < len(tangle) / 2
    assert not deferred & leaves.keys()
    order = in_order(nodes, everything.keys() - deferred)
    assert all(order.index(p) < order.index(c) for c, p in everything.keys() - deferred)
