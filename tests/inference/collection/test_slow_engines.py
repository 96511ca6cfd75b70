"""Engines that are slow: answers are kept every half minute, and no chunk takes much longer."""

import numpy as np
import pytest

from debias.errors import kept_by
from debias.inference.collection.collection import collect
from debias.inference.engine import Engine
from debias.inference.tree_engine import TreeEngine
from tests.support.plain_engine import TASK, uniform

TEXTS = [f"{number} {'word ' * 200}" for number in range(200)]


class Slow(Engine):
    """Ctrl-C comes when it has answered some prompts."""

    context_length, fingerprint = 10_000, {"model": "slow"}

    def __init__(self, stop_after=10**9, operations=0.0):
        self.stop_after, self.operations, self.asked = stop_after, operations, []

    def operations_per_token(self):
        return self.operations

    def continuation_logprobs(self, prompts, continuations):
        return [np.log([uniform(p + c) / 10]) for p, c in zip(prompts, continuations, strict=True)]

    def label_logprobs(self, prompts, labels):
        if sum(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(len(prompts))
        return super().label_logprobs(prompts, labels)


class Whole(Slow):
    """Answers a chunk in one call, as engines with batches of their own do."""

    label_scores = TreeEngine.label_scores


def test_answers_are_kept_while_a_chunk_is_asked(tmp_path):
    stopped, resumed, whole = Slow(stop_after=20), Slow(), Slow()
    with pytest.raises(KeyboardInterrupt) as caught:
        collect(stopped, TASK, TEXTS, out=tmp_path / "a.parquet", progress=False)
    kept = kept_by(caught.value)
    assert kept is not None and 20 <= kept.n_answers == sum(stopped.asked) < 40
    table = collect(resumed, TASK, TEXTS, out=tmp_path / "a.parquet", progress=False)
    assert sum(resumed.asked) == 200 - kept.n_answers
    assert table.to_numpy().tolist() == collect(whole, TASK, TEXTS, progress=False).to_numpy().tolist()


def test_an_engine_is_asked_in_equal_pieces_however_quick_it_is():
    plain, wide = Slow(), Slow()
    wide.prompts_at_once = 150
    for engine in (plain, wide):
        collect(engine, TASK, TEXTS, progress=False)
    assert plain.asked == [8] * 25
    assert wide.asked == [150, 50]


@pytest.mark.parametrize(
    ("operations", "least", "most"), [(0.0, 200, 200), (2 * 135e6, 20, 80), (2 * 7e9, 1, 2)]
)
def test_a_chunk_is_cut_where_a_slow_processor_would_take_long(operations, least, most):
    engine = Whole(operations=operations)
    collect(engine, TASK, TEXTS, progress=False)
    assert sum(engine.asked) == 200
    assert least <= max(engine.asked) <= most
