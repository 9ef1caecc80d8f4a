"""Which nodes of a graph depend on each other in a circle."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

Edges = Mapping[str, Collection[str]]


def components(edges: Edges) -> dict[str, int]:
    """A number for each node: the same for two nodes exactly where each can be reached from the other.

    Edges to what is no key are left out. Takes time linear in the size of the graph (Kosaraju's algorithm).
    """
    back: dict[str, list[str]] = {node: [] for node in edges}
    for node, nexts in edges.items():
        for each in nexts:
            if each in back:
                back[each].append(node)
    numbers: dict[str, int] = {}
    for root in reversed(list(_finished(edges))):
        if root not in numbers:
            _flood(root, back, numbers, len(numbers))
    return numbers


def _finished(edges: Edges) -> Iterator[str]:
    """Every node once, after all that can be reached from it and had not been seen before."""
    seen: set[str] = set()
    for root in edges:
        if root in seen:
            continue
        seen.add(root)
        path = [(root, iter(edges[root]))]
        while path:
            node, nexts = path[-1]
            unseen = next((each for each in nexts if each in edges and each not in seen), None)
            if unseen is None:
                path.pop()
                yield node
            else:
                seen.add(unseen)
                path.append((unseen, iter(edges[unseen])))


def _flood(root: str, edges: Edges, numbers: dict[str, int], number: int) -> None:
    numbers[root] = number
    waiting = [root]
    while waiting:
        for each in edges[waiting.pop()]:
            if each not in numbers:
                numbers[each] = number
                waiting.append(each)
