"""A proxy in round 0: real models, marks of its scores, windows that do not compare them, a warning."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from debias.errors import ExcludedRowsWarning, ParameterError, ResumeError
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records
from iterit.reports.rounds_report import RoundsReport
from iterit.rounds.round import run_round
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, with_picks, with_scores
from iterit.rounds.windows import window_of
from iterit.scoring.complexity import score_complexity
from iterit.training.saving.checkpoints import read_checkpoint
from tests.support.refusals import refused
from tests.support.small_runs import model_of, picks_of, rounds_in, rows, trainer_of
from tests.support.small_templates import STRICT, chat_tokenizer
from tests.support.tiny_models import byte_tokenizer, tiny_engine, tiny_model

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


def test_round_0_is_the_proxys_and_later_rounds_are_the_models(tmp_path):
    torch.set_num_threads(1)
    proxy = tiny_engine("gpt2", seed=3)
    trainer = trainer_of(tmp_path, model_of("qwen2"), num_train_epochs=3, save_strategy="epoch")
    with pytest.warns(UserWarning, match="rank correlation"):  # two random models agree in nothing
        rounds = rounds_in(trainer, proxy_engine=proxy)
        trainer.train()
    state = rounds.rounds.state
    assert state.by_proxy
    expected = score_complexity(Records.from_rows(rows()), proxy, show_progress=False)["ifd"]
    np.testing.assert_allclose(state.scores.query("round == 0")["ifd"], expected, rtol=1e-4)
    report = RoundsReport.from_folder(tmp_path)
    facts = report.kept.facts
    assert facts["proxy_sample"] == 40
    assert -1 <= facts["proxy_rank_correlation_low"] <= facts["proxy_rank_correlation"] <= 1
    assert report.moves["round"].min() == 2  # a difference of two models is no move
    assert np.isnan(report.scores.loc[1, "mean_move"])
    assert "A proxy, " in report.to_markdown()
    again = trainer_of(tmp_path / "again", model_of("qwen2"), num_train_epochs=3, save_strategy="no")
    resumed = rounds_in(again, proxy_engine=proxy)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert picks_of(resumed) == picks_of(rounds)
    assert resumed.rounds.facts["proxy_sample"] == 40
    other = trainer_of(tmp_path / "other", model_of("qwen2"), num_train_epochs=3, save_strategy="no")
    rounds_in(other)
    with refused(ResumeError, parameter="proxy"):
        other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_the_same_model_agrees_and_nothing_is_warned_of(tmp_path):
    proxy = TransformersEngine(tiny_model("qwen2", byte_tokenizer()), byte_tokenizer())
    trainer = trainer_of(tmp_path, model_of("qwen2"), num_train_epochs=1, save_strategy="no")
    rounds = rounds_in(trainer, proxy_engine=proxy)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*the proxy")
        trainer.train()
    assert rounds.rounds.facts["proxy_rank_correlation"] == pytest.approx(1.0, abs=0.01)
    plain = trainer_of(tmp_path / "plain", model_of("qwen2"), num_train_epochs=1, save_strategy="no")
    unaided = rounds_in(plain)
    plain.train()
    assert picks_of(rounds) == picks_of(unaided)


def test_what_scores_nothing_is_refused(tmp_path):
    with refused(ParameterError, parameter="proxy_engine", received="small"):
        rounds_in(trainer_of(tmp_path, model_of()), proxy_engine="small")


def test_records_that_only_the_proxy_cannot_take_are_said(tmp_path):
    system = {"system": "Be kind."}
    given = [{**row, **(system if place % 4 == 0 else {})} for place, row in enumerate(rows())]
    proxy = tiny_engine("llama", chat_tokenizer(STRICT))  # it refuses a system message
    trainer = trainer_of(tmp_path, model_of("qwen2"), num_train_epochs=2, save_strategy="no")
    rounds = rounds_in(trainer, given, proxy_engine=proxy)
    with pytest.warns(ExcludedRowsWarning, match="10 of 40 records have no score of the proxy") as told:
        trainer.train()
    assert len([one for one in told if "no score" in str(one.message)]) == 1
    assert not {row for picks in picks_of(rounds) for row in picks} & set(range(0, 40, 4))


def scores_of(ifd, rows):
    return pd.DataFrame({"ifd": np.float32(ifd), "status": "ok"}, index=rows)


def test_scores_of_a_proxy_come_after_the_models_in_every_window():
    rules = RoundSettings(n_picks=2, update_ratio=2, stale_share=0.25, above_share=0)
    state = replace(first_state(6), by_proxy=True)
    state = with_picks(with_scores(state, scores_of([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], range(6)), rules),
                       pd.DataFrame({"row": [0, 1]}))  # fmt: skip
    assert window_of(state, rules).rows.tolist() == [0, 1, 2, 3]  # the proxy is all that is known
    state = with_picks(with_scores(state, scores_of([0.1, 0.2, 0.15, 0.3], [0, 1, 2, 3]), rules),
                       pd.DataFrame({"row": [3, 1]}))  # fmt: skip
    assert window_of(state, rules).rows.tolist() == [3, 1, 2, 4]  # 4 is the stale one, whatever its score
    assert state.of_proxy().tolist() == [False] * 4 + [True] * 2


def test_picks_that_complete_a_round_are_not_taken_by_a_proxys_scores():
    rules = RoundSettings(n_picks=2, update_ratio=1, stale_share=0, above_share=0)
    state = replace(first_state(4), by_proxy=True)
    state = with_picks(with_scores(state, scores_of([0.9, 0.8, 0.7, 0.99], range(4)), rules),
                       pd.DataFrame({"row": [0, 1]}))  # fmt: skip

    def pick_one(candidates, newest, number):
        return pd.DataFrame({"row": candidates[:1]})

    state, counts = run_round(state, rules, lambda some: scores_of(np.full(len(some), 0.3), some), pick_one)
    assert counts["n_completed"] == 1
    assert set(state.rows_of(1)) <= {3, 0}
    assert set(state.rows_of(1)) <= set(state.scores.query("round == 1")["row"])


def test_a_checkpoint_keeps_the_mark(tmp_path, kept_by_proxy):
    kept_by_proxy.write(tmp_path)
    assert read_checkpoint(tmp_path).state.by_proxy
    replace(kept_by_proxy, state=replace(kept_by_proxy.state, by_proxy=False)).write(tmp_path)
    assert "by_proxy" not in (tmp_path / "iterit" / "rounds.json").read_text()
    assert not read_checkpoint(tmp_path).state.by_proxy


@pytest.fixture
def kept_by_proxy():
    from iterit.training.saving.checkpoints import RoundsCheckpoint

    rules = RoundSettings(n_picks=1)
    state = with_scores(replace(first_state(2), by_proxy=True), scores_of([0.2, 0.3], range(2)), rules)
    return RoundsCheckpoint(with_picks(state, pd.DataFrame({"row": [1]})), [])
