"""A run of rounds made of random numbers: scores that fall as they are trained, and picks of the hardest."""

import numpy as np
import pandas as pd

from iterit.rounds.examples import examples_of
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, with_picks, with_scores
from iterit.training.saving.checkpoints import RoundsCheckpoint


def small_run(n_rounds, n_rows=120, n_picks=12, seed=0):
    """What a checkpoint keeps of a run."""
    rng = np.random.default_rng(seed)
    rules = RoundSettings(n_picks=n_picks, update_ratio=3)
    ifd, words = rng.beta(6, 3, n_rows), np.exp(rng.normal(4, 1, n_rows)).astype(int) + 1
    state, history, examples = first_state(n_rows), [], []
    for number in range(n_rounds):
        rows = np.arange(n_rows) if number == 0 else np.sort(np.argsort(-ifd)[: 3 * n_picks])
        status = np.where(ifd[rows] >= 1, "ifd_ge_1", "ok")
        scores = pd.DataFrame({"ifd": np.float32(ifd[rows]), "status": status}, index=rows)
        state = with_scores(state, scores, rules)
        score = np.where(ifd < 1, ifd * np.sqrt(words), -1.0)[rows]
        picked = rows[np.argsort(-score)[:n_picks]]
        table = {"row": picked, "complexity": ifd[picked], "diversity": np.sqrt(words[picked])}
        state = with_picks(state, pd.DataFrame({**table, "score": ifd[picked] * np.sqrt(words[picked])}))
        shown = examples_of(state, number, words)
        examples.append(shown.assign(question="Who wrote this story?", answer="It was written long ago."))
        history.append(
            {
                "round": number, "step": 10 * number, "n_scored": len(rows), "n_top": len(rows), "n_stale": 0,
                "n_above": 0, "n_widened": 0, "n_candidates": len(rows), "n_completed": 0,
                "scored_tokens": 9000, "trained_tokens": 900, "seconds_scoring": 6.0,
                "seconds_selecting": 1.0, "seconds_training": 3.0, "loss_sum": 24.0 - number,
                "loss_steps": 10,
            }
        )  # fmt: skip
        ifd = np.clip(ifd + rng.normal(-0.02, 0.05, n_rows), 0.05, 1.2)
    sources = rng.choice(["alpaca", "dolly", "flan"], n_rows)
    records = pd.DataFrame({"words": words, "tokens": words + 30, "source": sources})
    kept = pd.concat(examples, ignore_index=True)
    return RoundsCheckpoint(state, history, dict(vars(rules)), {"model": "demo"}, records, kept)
