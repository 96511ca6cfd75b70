"""Rows of tokens for a forward pass: a shared opening, many lengths, several trees of labels."""

import numpy as np

from debias.inference.labels import chain_tree, label_tree
from debias.inference.transformers.passes.packing import Row


def rows_of_many_lengths(n_rows, seed=0, opening=9):
    rng = np.random.default_rng(seed)
    shared = rng.integers(5, 90, opening).tolist()
    trees = [label_tree(((5, 6, 7), (5, 8), (9,))), chain_tree((7, 8)), label_tree(((3,), (4,)))]
    return [
        Row(shared + rng.integers(5, 90, rng.integers(1, 30)).tolist(), trees[rng.integers(3)])
        for _ in range(n_rows)
    ]
