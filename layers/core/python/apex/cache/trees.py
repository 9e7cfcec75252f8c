"""Boosted trees, read from a file and summed in plain Python."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp

Tree = tuple[tuple[int, float, int, int, float], ...]
"""Nodes: feature (-1 at a leaf), threshold, index of the left and of the right node, value of the leaf."""


@dataclass(frozen=True, slots=True)
class Model:
    """A gradient-boosted classifier."""

    features: tuple[str, ...]
    base: float
    trees: tuple[Tree, ...]

    def probability(self, row: Sequence[float]) -> float:
        """The chance that the answer is right, from 0 to 1."""
        score = self.base
        for tree in self.trees:
            node = tree[0]
            while node[0] >= 0:
                node = tree[node[2] if row[node[0]] <= node[1] else node[3]]
            score += node[4]
        return 1 / (1 + exp(-score)) if score > -500 else 0.0


@cache
def load() -> Model:
    """The model that is shipped with the library."""
    data = json.loads(files("apex.cache").joinpath("verifier.json").read_text("utf-8"))
    trees = tuple(tuple((int(f), t, int(a), int(b), v) for f, t, a, b, v in tree) for tree in data["trees"])
    return Model(tuple(data["features"]), data["base"], trees)
