"""What nothing else beats in cost and quality at once."""

from collections.abc import Sequence


def pareto_front(costs: Sequence[float], losses: Sequence[float]) -> list[int]:
    """The indices of those than which no other is both at least as cheap and at least as good, the cheapest first.

    Args:
        costs, losses: of each, lower is better, no NaN. Of several that are the same, the first is taken.
    """
    front: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], losses[i])):
        if not front or losses[i] < losses[front[-1]]:
            front.append(i)
    return front
