"""An order of tables in which as few links as can be point at a table that comes later."""

from collections.abc import Collection, Mapping, Sequence

Edge = tuple[str, str]
"""A child and its parent."""

# As many subsets of a cycle's tables are weighed as this allows: 4096.
_EXACTLY = 12


def to_defer(nodes: Sequence[str], edges: Mapping[Edge, int]) -> set[Edge]:
    """Edges without which there is no cycle, of the least weight; of equals, the order of nodes decides.

    In a group of more than a dozen tables that all depend on each other the weight is small, not the least.
    """
    parents: dict[str, dict[str, int]] = {node: {} for node in nodes}
    for (child, parent), weight in edges.items():
        if child != parent:
            parents[child][parent] = weight
    deferred: set[Edge] = set()
    for group in _groups(parents):
        inside = {c: {p: w for p, w in parents[c].items() if p in group} for c in group}
        order = _best(inside) if len(group) <= _EXACTLY else _good(inside)
        place = {node: i for i, node in enumerate(order)}
        deferred |= {(c, p) for c in group for p in inside[c] if place[p] > place[c]}
    return deferred


def in_order(nodes: Sequence[str], edges: Collection[Edge]) -> list[str]:
    """Nodes with every parent before its children, otherwise in the order given; there is no cycle."""
    parents: dict[str, set[str]] = {node: set() for node in nodes}
    for child, parent in edges:
        parents[child].add(parent)
    order: dict[str, None] = {}
    while len(order) < len(nodes):
        ready = {n: None for n in nodes if n not in order and parents[n] <= order.keys()}
        assert ready, "a cycle is left"
        order |= ready
    return list(order)


def _groups(parents: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Tables that all depend on each other, in groups of at least two."""
    above = {node: _above(node, parents) for node in parents}
    groups: list[list[str]] = []
    done: set[str] = set()
    for node in parents:
        if node not in done and node in above[node]:
            groups.append([n for n in parents if n in above[node] and node in above[n]])
            done.update(groups[-1])
    return groups


def _above(node: str, parents: Mapping[str, Mapping[str, int]]) -> set[str]:
    found: set[str] = set()
    waiting = [node]
    while waiting:
        new = parents[waiting.pop()].keys() - found
        found |= new
        waiting += new
    return found


def _best(parents: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The order of least weight: of every subset that could come first, the cheapest order is kept."""
    nodes = list(parents)
    bit = {node: 1 << i for i, node in enumerate(nodes)}
    cheapest: dict[int, tuple[int, tuple[str, ...]]] = {0: (0, ())}
    for placed in range(1 << len(nodes)):
        cost, order = cheapest.pop(placed)
        for node in (n for n in nodes if not placed & bit[n]):
            late = sum(w for p, w in parents[node].items() if not placed & bit[p])
            candidate = (cost + late, (*order, node))
            known = cheapest.get(placed | bit[node])
            if known is None or candidate[0] < known[0]:
                cheapest[placed | bit[node]] = candidate
        if len(order) == len(nodes):
            return list(order)
    raise AssertionError("unreachable: the last subset holds every node")


def _good(parents: Mapping[str, Mapping[str, int]]) -> list[str]:
    """An order of small weight: next comes whoever waits for the least."""
    left = dict.fromkeys(parents)
    order: list[str] = []
    while left:
        waits = {n: sum(w for p, w in parents[n].items() if p in left) for n in left}
        order.append(min(left, key=waits.__getitem__))
        del left[order[-1]]
    return order
