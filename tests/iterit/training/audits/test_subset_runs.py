"""Trained subsets: a plain training loop as referee, what is kept, and audits that find what is there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from debias.errors import ParameterError, RecordsError
from debias.inference.models.new_adapter import with_adapter
from iterit.records.instruction_records import Records
from iterit.rounds.round import training_order
from iterit.training.audits import subset_runs
from iterit.training.audits.audit_settings import AuditSettings
from iterit.training.audits.picks_audit import audit, held_out_of, within_budget
from iterit.training.audits.subset_runs import SubsetRuns
from iterit.training.setup.training_settings import TrainingSettings
from tests.support.refusals import refused
from tests.support.small_runs import rows as made_up
from tests.support.tiny_models import byte_tokenizer, tiny_model

TRAINING = TrainingSettings(
    rounds=1, lora_rank=4, learning_rate=1e-2, batch_size=3, gradient_accumulation=2, device="cpu", bf16=False
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("qwen2", byte_tokenizer()).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def records():
    rows = made_up(90)
    return Records.from_rows(
        [{**row, "instruction": f"{row['instruction']} {n}"} for n, row in enumerate(rows)]
    )


@pytest.fixture(scope="module")
def runs(model, records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("subsets")
    return SubsetRuns(
        records.take(np.arange(60)), records.take(np.arange(60, 90)), model, TRAINING, folder, max_tokens=400
    )


def naive_losses(runs, rows, seed):
    """Train and measure without a Trainer: one step after the other, one record at a time."""
    transformers.set_seed(seed)
    network = with_adapter(transformers.AutoModelForCausalLM.from_pretrained(runs.model), TRAINING.lora_rank)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=TRAINING.learning_rate, weight_decay=0.0)
    order = training_order(rows, seed, 0, runs.encoded.lengths, 6)
    steps = [order[first : first + 6] for first in range(0, len(order), 6)]
    network.train()
    for number, step in enumerate(steps):
        n_tokens = sum(runs.encoded.of(int(row)).n_answer_tokens for row in step)
        for row in step:
            one = runs.encoded.of(int(row))
            logits = network(input_ids=torch.tensor([one.input_ids])).logits[0, :-1]
            labels = torch.tensor(one.labels[1:])
            loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
            (loss / n_tokens).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = TRAINING.learning_rate * 0.5 * (1 + np.cos(np.pi * number / len(steps)))
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
    found = []
    with torch.no_grad():
        for one in runs.held_out_encoded:
            if one.spans:
                logits = network(input_ids=torch.tensor([one.input_ids])).logits[0, :-1]
                labels = torch.tensor(one.labels[1:])
                found.append(float(torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100)))
    return np.array(found)


def test_a_run_is_what_a_plain_training_loop_gives(runs):
    rows = runs.usable[:17]
    found = runs.run(rows, seed=3)
    np.testing.assert_allclose(found.losses["loss"], naive_losses(runs, rows, 3), atol=2e-4)
    untrained = runs.run(np.zeros(0, dtype=np.int64), seed=3)
    assert np.abs(found.losses["loss"] - untrained.losses["loss"]).max() > 0.1
    assert found.facts["answer_tokens"] == runs.answer_tokens[rows].sum()


def test_what_was_trained_is_read_back_and_nothing_else(runs, monkeypatch):
    rows = runs.usable[:6]
    first = runs.run(rows, seed=1)
    monkeypatch.setattr(subset_runs, "make_trainer", lambda *_: pytest.fail("it trained again"))
    again = SubsetRuns(
        runs.pool, runs.held_out, runs.model, replace(TRAINING, seed=9), runs.folder, max_tokens=400
    )
    assert again.path_of(rows, 1).exists() and again.run(rows, 1).losses.equals(first.losses)
    assert again.run(rows, 1).facts == first.facts

    def of(training=TRAINING, held_out=runs.held_out, max_tokens=400, **more):
        return SubsetRuns(
            runs.pool, held_out, runs.model, training, runs.folder, max_tokens=max_tokens, **more
        )

    others = [
        (again, rows, 2),
        (again, rows[:5], 1),
        (of(replace(TRAINING, lora_rank=2)), rows, 1),
        (of(max_tokens=390), rows, 1),
        (of(held_out=runs.held_out.take(np.arange(29))), rows, 1),
        (of(measures={"m": None}), rows, 1),
    ]
    for other, own, seed in others:
        assert not other.path_of(own, seed).exists()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_file_is_trained_again(runs, place):
    rows = runs.usable[6:10]
    first = runs.run(rows, seed=0)
    file = max(runs.folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime)
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 255
    file.write_bytes(content)
    with pytest.warns(UserWarning, match=file.name):
        again = runs.run(rows, seed=0)
    np.testing.assert_array_equal(again.losses["loss"], first.losses["loss"])
    assert runs.run(rows, seed=0).losses.equals(first.losses)  # whole again, without a word


def test_further_measures_are_kept_with_a_run(runs, tmp_path):
    import pandas as pd

    def context(engine):
        return pd.DataFrame({"context": [engine.context_length], "word": ["a"]})

    made = SubsetRuns(
        runs.pool, runs.held_out, runs.model, TRAINING, tmp_path, max_tokens=400, measures={"m": context}
    )
    first, again = made.run(runs.usable[:3], 0), made.run(runs.usable[:3], 0)
    assert first.more["m"].equals(again.more["m"]) and again.more["m"]["context"].tolist() == [512]


def test_picks_that_teach_what_is_asked_gain(model, tmp_path):
    random = np.random.default_rng(0)

    def row(number, is_good):
        text = ["x"] * 9 if is_good else random.choice(["b", "h", "j", "q"], 9)
        return {"question": f"Where {number} ?", "answer": " ".join(text)}

    pool = Records.from_rows([row(n, n % 3 == 0) for n in range(120)])
    held_out = Records.from_rows([row(n, True) for n in range(500, 520)])
    made = SubsetRuns(pool, held_out, model, replace(TRAINING, rounds=2), tmp_path, max_tokens=400)
    good = np.arange(0, 90, 3)
    settings = AuditSettings(n_seeds=2, answer_tokens=10**6, n_more_random=1, n_subsets=2, subset_size=12)
    score = np.array([float(n % 3 == 0) for n in range(120)])
    result = audit(made, {"good": good}, scores={"true": score}, settings=settings, show_progress=False)
    own = result.gains[result.gains["way"] == "picks"].set_index(["picks", "by"])["gain"]
    assert own["good", "token"] > 0 and own["good", "record"] > 0
    assert len(result.losses) == 1 + 2 * 2 + 1 + 2
    trained = result.losses.set_index(["picks", "way", "seed"])["answer_tokens"]
    for seed in range(2):
        ratio = trained["good", "random", seed] / trained["good", "picks", seed]
        assert ratio == pytest.approx(1, abs=0.02)
    assert trained["good", "more random", 0] > 1.5 * trained["good", "picks", 0]
    assert (result.datamodel["n_subsets"] == 2).all()


def test_held_out_rows_are_apart_from_picks_and_share_no_text(records):
    rows = [{"question": "same?", "answer": f"{n}"} for n in range(5)]
    rows += [{"question": f"{n}?", "answer": "same"} for n in range(5)]
    rows += [{"question": f"{n}!", "answer": f"{n}."} for n in range(10)]
    pool = Records.from_rows(rows)
    apart = held_out_of(pool, {"a": np.array([10, 11]), "b": np.array([12])}, n=20, seed=0)
    assert set(apart.tolist()) == set(range(13, 20))
    with refused(RecordsError, received=1):
        held_out_of(pool, {"a": np.arange(19)}, n=20, seed=0)


def test_a_system_text_that_all_records_share_leaves_records_to_hold_out():
    def turns(n):
        said = [("system", "Be brief."), ("user", f"{n}?"), ("assistant", f"{n}.")]
        return {"messages": [{"role": role, "content": text} for role, text in said]}

    pool = Records.from_rows([turns(n) for n in (*range(9), 0)])
    assert set(held_out_of(pool, {"a": np.arange(3)}, n=9, seed=0).tolist()) == set(range(3, 9))


def test_the_picks_among_random_records_count_also_beyond_the_part_that_is_trained(runs, monkeypatch):
    monkeypatch.setattr(SubsetRuns, "_trained", lambda self, rows, seed: runs.run(runs.usable[:0], 0))
    made = SubsetRuns(
        runs.pool, runs.held_out, runs.model, replace(TRAINING, lora_rank=3), runs.folder, max_tokens=400
    )
    settings = AuditSettings(n_seeds=2, answer_tokens=60, n_more_random=0)
    monkeypatch.setattr("iterit.training.audits.picks_audit._costs", lambda *_: None)
    result = audit(made, {"all": runs.usable}, settings=settings, show_progress=False)
    assert result.facts["overlap"] == {"all": 1.0}


def test_a_part_of_the_picks_stays_within_the_budget():
    random = np.random.default_rng(0)
    tokens = random.integers(1, 40, 200)
    rows = random.permutation(200)[:50]
    for budget in (1, 100, 500, 10**6):
        own = within_budget(rows, tokens, budget, random)
        assert set(own.tolist()) <= set(rows.tolist()) and len(own) >= 1
        assert tokens[own].sum() <= budget or len(own) == 1
    assert sorted(within_budget(rows, tokens, 10**6, random)) == sorted(rows)


def test_picks_that_are_held_out_or_empty_are_refused(runs):
    settings = AuditSettings(n_seeds=2)
    with refused(ParameterError, parameter="held_out"):
        audit(runs, {"a": runs.usable[:3]}, candidates=runs.usable[1:], settings=settings)
    empty = np.setdiff1d(np.arange(60), runs.usable)
    if len(empty):
        with refused(RecordsError):
            audit(runs, {"a": empty[:1]}, settings=settings)
    blank = Records.from_rows([{"question": "?" * 400, "answer": "a"}])
    with refused(RecordsError, received=1):
        SubsetRuns(runs.pool, blank, runs.model, TRAINING, runs.folder, max_tokens=20)
