"""Circles in graphs, against the plain definition."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.cycles import components

NODES = st.sampled_from("abcdefg")


def reachable(start: str, edges: dict[str, list[str]]) -> set[str]:
    found = {start}
    waiting = [start]
    while waiting:
        for each in edges[waiting.pop()]:
            if each in edges and each not in found:
                found.add(each)
                waiting.append(each)
    return found


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(NODES, st.lists(NODES, max_size=4)))
def test_same_number_where_each_reaches_the_other(edges: dict[str, list[str]]) -> None:
    """Protects alerts that depend on each other from muting each other."""
    numbers = components(edges)
    assert numbers.keys() == edges.keys()
    for one in edges:
        for other in edges:
            both = other in reachable(one, edges) and one in reachable(other, edges)
            assert (numbers[one] == numbers[other]) is both


def test_long_chains() -> None:
    """Protects from the interpreter's limit on recursion."""
    nodes = [str(number) for number in range(5_000)]
    chain = {node: [following] for node, following in pairwise(nodes)}
    assert len(set(components({**chain, nodes[-1]: []}).values())) == 5_000
    assert len(set(components({**chain, nodes[-1]: ["0"]}).values())) == 1
