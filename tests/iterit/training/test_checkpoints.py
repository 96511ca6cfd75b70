"""Checkpoints of rounds: what was written is read; what was damaged or cannot be is refused."""

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from debias.errors import ResumeError
from iterit.reports.rounds_report import RoundsReport
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, with_picks, with_scores
from iterit.training.saving.checkpoints import (
    RoundsCheckpoint,
    check_weights,
    read_checkpoint,
)
from iterit.training.saving.same_settings import check_same_run
from iterit.training.saving.whole_checkpoints import last_whole_checkpoint
from tests.support.refusals import refused
from tests.support.small_runs import model_of, rounds_in, trainer_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
NUMBERS = {"loss_sum": 2.5, "loss_steps": 2, "seconds_training": 0.5}


@pytest.fixture
def kept():
    """One round of four records."""
    settings = RoundSettings(n_picks=2)
    scores = pd.DataFrame({"ifd": np.float32([0.9, 0.8, 0.7, 1.6]), "status": ["ok"] * 3 + ["ifd_ge_1"]})
    state = with_picks(with_scores(first_state(4), scores, settings), pd.DataFrame({"row": [0, 1]}))
    records = pd.DataFrame({"words": [1, 2, 3, 4], "tokens": [2, 3, 4, 5], "source": ["a"] * 4})
    return RoundsCheckpoint(state, [{"round": 0, **NUMBERS}], {"decay": 0.1}, {"model": "m"}, records)


def test_what_was_written_is_read(kept, tmp_path):
    kept.write(tmp_path)
    again = read_checkpoint(tmp_path)
    assert again.state.scores.equals(kept.state.scores)
    assert again.state.picks.equals(kept.state.picks)
    assert again.records.equals(kept.records)
    assert (again.history, again.settings, again.facts) == (kept.history, kept.settings, kept.facts)
    assert again.state.permutation.tolist() == kept.state.permutation.tolist()
    first = replace(kept, state=first_state(4), history=[], records=pd.DataFrame())
    first.write(tmp_path / "first")
    assert read_checkpoint(tmp_path / "first").state.round == 0


def test_every_flipped_bit_is_noticed(kept, tmp_path):
    kept.write(tmp_path)
    source = random.Random(0)
    for path in sorted((tmp_path / "iterit").iterdir()):
        whole = path.read_bytes()
        for _ in range(60 if path.suffix == ".json" else 5):
            damaged = bytearray(whole)
            damaged[source.randrange(len(whole))] ^= 1 << source.randrange(8)
            path.write_bytes(damaged)
            with refused(ResumeError, file=str(path)):
                read_checkpoint(tmp_path)
        path.write_bytes(whole)
    read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b"[" * 10_000, b'{"version": true}', b"1" * 5000, b"\xff\xfe"]
)
def test_other_files_are_refused(kept, tmp_path, text):
    kept.write(tmp_path)
    facts = tmp_path / "iterit" / "rounds.json"
    facts.write_bytes(text)
    with refused(ResumeError, file=str(facts)):
        read_checkpoint(tmp_path)
    facts.unlink()
    facts.mkdir()
    with refused(ResumeError, file=str(facts)):
        read_checkpoint(tmp_path)


def changed(table, column, value):
    """Return a table with another value in its first row."""
    values = table[column].map(type(value)) if column in table else pd.Series([value] * len(table))
    values[0] = value
    return table.assign(**{column: values})


@pytest.mark.parametrize(
    ("part", "column", "value"),
    [
        ("scores", "ifd", -1.0),
        ("scores", "ifd", np.inf),
        ("scores", "status", "fine"),
        ("scores", "row", 4),
        ("scores", "round", 1),
        ("scores", "n_tokens", -1),
        ("scores", "more", 1.0),
        ("picks", "row", -1),
        ("picks", "row", 1),
        ("picks", "rank", 0),
        ("picks", "round", 7),
        ("picks", "row", "0"),
    ],
)
def test_values_that_no_run_has_are_refused(kept, tmp_path, part, column, value):
    table = changed(getattr(kept.state, part), column, value)
    replace(kept, state=replace(kept.state, **{part: table})).write(tmp_path)
    with refused(ResumeError, file=str(tmp_path / "iterit" / "rounds.json"), fix=str):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"history": [{"round": 1, **NUMBERS}]},
        {"history": [{"round": 0}]},
        {"history": [{"round": "0", **NUMBERS}]},
        {"history": ["round"]},
        {"history": 7},
        {"settings": [1]},
        {"facts": None},
        {"records": pd.DataFrame({"words": [1]})},
    ],
)
def test_facts_that_no_run_has_are_refused(kept, tmp_path, changes):
    replace(kept, **changes).write(tmp_path)
    with refused(ResumeError, file=str(tmp_path / "iterit" / "rounds.json")):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("changes", [{"round": -1}, {"n_rows": 3}, {"n_rows": 4.0}, {"round": True}])
def test_states_that_no_run_has_are_refused(kept, tmp_path, changes):
    replace(kept, state=replace(kept.state, **changes), records=pd.DataFrame()).write(tmp_path)
    with refused(ResumeError):
        read_checkpoint(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two checkpoints of a run."""
    folder = tmp_path_factory.mktemp("run")
    trainer = trainer_of(folder, model_of("qwen2"), num_train_epochs=1)
    rounds_in(trainer)
    trainer.train()
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[
            ("trainer_state.json", content)
            for content in (
                b"[]",
                b"null",
                b"[" * 9999,
                b'{"global_step": 1}',
                b'{"global_step": 1e999}',
                b'{"global_step": -1e999}',
                b'{"global_step": 2.5}',
                b'{"global_step": true}',
            )
        ],
        *[("iterit/rounds.json", content) for content in (b"[]", b"{}", b"7", b'{"version": 2}')],
        *[("iterit/scores.parquet", content) for content in (b"", b"PAR1")],
        *[(name, None) for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors")],
        *[
            (name, b"x" * 100)
            for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors")
        ],
        ("model.safetensors", "cut"),
        ("optimizer.pt", "cut"),
        ("optimizer.pt", "flipped"),
        ("model.safetensors", "last bit"),
    ],
)
def test_a_damaged_checkpoint_does_not_hide_an_older_one(run, tmp_path, name, content):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    assert last_whole_checkpoint(folder) == folder / "checkpoint-2"
    path = folder / "checkpoint-2" / name
    if content is None:
        path.unlink()
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif content == "last bit":
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with refused(ResumeError, file=str(path)):
            check_weights(path.parent)
    elif content == "flipped":
        state = torch.load(path)
        moments = next(iter(state["state"].values()))["exp_avg"].numpy().tobytes()
        whole = path.read_bytes()
        place = whole.index(moments)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    else:
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="checkpoint-2: .* skipped"):
        assert last_whole_checkpoint(folder) == folder / "checkpoint-1"
    if name.startswith("iterit"):
        shutil.rmtree(folder / "iterit")
        assert len(RoundsReport.from_folder(folder).numbers) == 1


def test_the_digest_is_the_last_value_of_a_json_object(kept, tmp_path):
    kept.write(tmp_path)
    content = json.loads((tmp_path / "iterit" / "rounds.json").read_text())
    assert list(content)[-1] == "digest" and len(content["digest"]) == 64


def test_what_has_changed_is_told_in_the_words_of_a_user():
    kept = {"n_picks": 8, "records": "dcf2", "template": "01ab"}
    with refused(ResumeError, file="run", parameter="ratio", received=12, fix=str) as caught:
        check_same_run(kept, {"n_picks": 12, "records": "77ab", "template": "01ab"}, "run")
    said = caught.value.render({"ratio": "--ratio"})
    assert "--ratio" in said and not any(word in said for word in ("n_picks", "dcf2", "77ab"))
