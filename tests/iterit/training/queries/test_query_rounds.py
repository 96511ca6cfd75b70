"""Rounds aimed at a query: each asks the model as it is then, and a resumed run picks the same."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
import transformers

from debias.errors import ParameterError, ResumeError
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.records.instruction_records import Records
from iterit.scoring.representations import query_similarities, record_vectors
from iterit.selection.selection import select
from iterit.templates.named_templates import template_for
from iterit.training.queries.query_steps import trained_on
from iterit.training.trainer import IterIT
from tests.support.paths import ROOT
from tests.support.refusals import refused
from tests.support.small_runs import (
    ROUNDS,
    model_of,
    picks_of,
    rounds_in,
    rows,
    trainer_of,
    weights_of,
)
from tests.support.tiny_models import byte_tokenizer, tiny_engine

N_PICKS = 10
QUERY = rows(60)[-4:]
MODES = ["influence", "representation"]
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module", params=[(mode, lora) for mode in MODES for lora in (False, True)])
def run(request, tmp_path_factory):
    """A run of a mode, of all weights or of an adapter, and a checkpoint per round."""
    mode, lora = request.param
    folder = tmp_path_factory.mktemp(mode)
    trainer = trainer_of(folder, model_of("qwen2", lora), save_strategy="epoch")
    rounds = rounds_in(trainer, mode=mode, query=QUERY)
    trainer.train()
    return mode, lora, folder, trainer, rounds


def model_at(folder, lora, step):
    """The model as it was when a round began."""
    if step == 0:
        return model_of("qwen2", lora)
    saved = folder / f"checkpoint-{step}"
    if lora:
        from peft import PeftModel

        return PeftModel.from_pretrained(model_of("qwen2"), saved)
    return transformers.AutoModelForCausalLM.from_pretrained(saved)


def naive_loss(model, encoded):
    """One text at a time, the whole logits."""
    with torch.no_grad():
        return float(
            model.eval()(
                input_ids=torch.tensor([encoded.input_ids]), labels=torch.tensor([encoded.labels])
            ).loss
        )


def expected_signals(mode, model, candidates):
    """What the selection is to be given, one record at a time."""
    records, query = Records.from_rows(rows()), Records.from_rows(QUERY)
    template = template_for(byte_tokenizer())
    engine = TransformersEngine(model, byte_tokenizer())
    if mode == "representation":
        found = np.full((len(records), len(query)), np.nan)
        one_by_one = [record_vectors(records, engine, rows=[row], show_progress=False) for row in candidates]
        of_query = record_vectors(query, engine, show_progress=False)
        found[candidates] = query_similarities(np.concatenate(one_by_one), of_query)
        return {"similarities": found}
    after = trained_on(engine, query, template=template, seed=0).engine.model
    found = np.full(len(records), np.nan)
    for row in candidates:
        encoded = template.encode(records[row])
        found[row] = naive_loss(model, encoded) - naive_loss(after, encoded)
    return {"values": found}


def test_each_round_asks_the_model_as_it_is_then(run):
    mode, lora, folder, _, rounds = run
    records = Records.from_rows(rows())
    counts, state = count_ngrams(records.responses), rounds.rounds.state
    assert [entry["round"] for entry in rounds.rounds.history] == list(range(ROUNDS))
    found = []
    for number in range(ROUNDS):
        scored = state.scores.query("round == @number")
        candidates = np.sort(scored["row"][scored["ifd"] < 1].to_numpy())
        model = model_at(folder, lora, rounds.rounds.history[number]["step"])
        signals = expected_signals(mode, model, candidates)
        picks = select(k=N_PICKS, counts=counts, candidates=candidates, mode=mode, **signals)
        assert picks_of(rounds)[number] == picks.rows.tolist()
        found.append(signals)
    name = next(iter(found[0]))
    both = np.isfinite(found[0][name]) & np.isfinite(found[-1][name])
    assert np.abs(found[0][name] - found[-1][name])[both].max() > 1e-4  # the model has moved


def test_a_run_that_is_resumed_picks_and_trains_the_same(run, tmp_path):
    mode, lora, folder, whole, rounds = run
    trainer = trainer_of(tmp_path, model_of("qwen2", lora), save_strategy="no")
    again = rounds_in(trainer, mode=mode, query=QUERY)
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{rounds.rounds.history[1]['step']}"))
    assert picks_of(again) == picks_of(rounds)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(trainer), weights_of(whole), strict=True))


def test_a_checkpoint_with_another_query_is_refused(run, tmp_path):
    mode, lora, folder, _, rounds = run
    trainer = trainer_of(tmp_path, model_of("qwen2", lora))
    rounds_in(trainer, mode=mode, query=QUERY[:3])
    with refused(ResumeError, mentions="query"):
        trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{rounds.rounds.history[1]['step']}"))


def test_its_tokens_and_seconds_count_as_scoring(run, tmp_path):
    _, lora, _, _, rounds = run
    trainer = trainer_of(tmp_path, model_of("qwen2", lora), num_train_epochs=1)
    plain = rounds_in(trainer)
    trainer.train()
    tokens = [one.rounds.history[0]["scored_tokens"] for one in (rounds, plain)]
    assert tokens[0] > 1.3 * tokens[1]  # records begin alike, and their beginnings are computed once


def test_mixed_precision_is_asked_in_float32(tmp_path):
    trainer = trainer_of(tmp_path, model_of("qwen2", lora=True), bf16=True, num_train_epochs=1)
    rounds = rounds_in(trainer, mode="influence", query=QUERY, score_dtype="bfloat16")
    plain = trainer_of(tmp_path / "plain", model_of("qwen2", lora=True), num_train_epochs=1)
    exact = rounds_in(plain, mode="influence", query=QUERY)
    trainer.train()
    plain.train()
    kept = set(picks_of(rounds)[0]) & set(picks_of(exact)[0])
    assert len(kept) >= N_PICKS - 2  # candidates near an IFD of 1 may differ, values do not


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"mode": "influence"}, "query"),
        ({"mode": "published", "query": QUERY}, "query"),
        ({"mode": "influence", "query": "no.jsonl", "rows": [0, 1]}, None),
        ({"mode": "influence", "query": 3}, "query"),
        ({"mode": "influence", "query": QUERY, "proxy_engine": "tiny"}, "proxy_engine"),
    ],
)
def test_what_cannot_be_aimed_is_refused_before_anything_is_scored(given, parameter):
    if given.get("proxy_engine"):
        given = given | {"proxy_engine": tiny_engine("gpt2", byte_tokenizer())}
    with warnings.catch_warnings(action="ignore"), pytest.raises(Exception) as raised:
        IterIT(rows(), 0.25, **given)
    assert type(raised.value).__module__.startswith("debias")
    if parameter is not None:
        assert isinstance(raised.value, ParameterError) and raised.value.parameter == parameter


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_two_processes_pick_the_same_as_one(tmp_path, mode):
    trainer = trainer_of(tmp_path / "one", model_of("qwen2"), per_device_train_batch_size=4)
    rounds = rounds_in(trainer, mode=mode, query=QUERY)
    trainer.train()
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "tests.support.small_runs"]
    done = subprocess.run(
        [sys.executable, *launch, str(tmp_path / "two"), "-1", "nowhere", mode],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "two" / "picks.json").read_text() == str(picks_of(rounds))
