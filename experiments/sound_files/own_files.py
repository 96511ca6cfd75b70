"""The formats of ours that have a checksum, and how some of them are signed anew after damage."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debias.inference.collection.answer_store import AnswerStore, digest
from debias.tables.table import ProbabilityTable
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, with_picks, with_scores
from iterit.training.saving.checkpoints import RoundsCheckpoint, read_checkpoint
from iterit.training.saving.whole_checkpoints import last_whole_checkpoint
from sound_files.corrections import debiasers, read_fitted, read_served, written_by
from sound_files.kinds import Kind, make_table
from sound_files.runs import resumed, write_run


def own() -> list[Kind]:
    """Describe the formats of ours that have a checksum."""
    table = make_table()
    keys = [digest(f"question {i}") for i in range(40)]

    def write_table(folder: Path) -> list[str]:
        table.write(folder / "t.parquet")
        return ["t.parquet"]

    def write_store(folder: Path) -> list[str]:
        with AnswerStore(folder / "answers.sqlite") as store:
            store.add([(key, f"answer {i}".encode()) for i, key in enumerate(keys)], {"dtype": "float32"})
        return ["answers.sqlite"]

    def read_store(folder: Path) -> Any:
        with AnswerStore(folder / "answers.sqlite", read_only=True) as store:
            found = store.find(keys)
        wrong = {
            k: v
            for i, k in enumerate(keys)
            for v in [found.get(k)]
            if v and v.value != f"answer {i}".encode()
        }
        return wrong  # an answer that is missing is asked again

    def write_rounds(folder: Path) -> list[str]:
        rules = RoundSettings(n_picks=2, update_ratio=2)
        scores = pd.DataFrame({"ifd": np.float32([0.9, 0.8, 0.7, 0.6, 0.5]), "status": "ok"}, index=range(5))
        state = with_scores(first_state(5), scores, rules)
        state = with_picks(state, pd.DataFrame({"row": [0, 1], "complexity": [0.9, 0.8]}))
        kept = pd.DataFrame({"words": range(5), "tokens": range(5), "source": list("aabbb")})
        RoundsCheckpoint(
            state,
            [dict.fromkeys(("round", "loss_sum", "loss_steps", "seconds_training"), 0)],
            dict(vars(rules)),
            {"model": "demo"},
            kept,
        ).write(folder)
        return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]

    def read_rounds(folder: Path) -> Any:
        found = read_checkpoint(folder)
        tables = [found.state.scores, found.state.picks, found.records]
        return [
            *(one.to_csv() for one in tables),
            found.history,
            found.settings,
            found.facts,
            found.state.round,
        ]

    def write_checkpoints(folder: Path) -> list[str]:
        for step in (1, 2):
            place = folder / f"checkpoint-{step}"
            write_rounds(place)
            write_training(place, step)
        return [f"checkpoint-2/{name}" for name in ("iterit/rounds.json", *TRAINING)]

    def read_newest(folder: Path) -> Any:
        found = last_whole_checkpoint(folder)
        return None if found is None else read_rounds(found)  # each holds the same rounds

    return [
        ("own: table", write_table, lambda folder: ProbabilityTable.read(folder / "t.parquet"), True),
        *(
            (f"own: correction, {name}", written_by(debiaser), read_fitted, True)
            for name, debiaser in debiasers().items()
        ),
        ("own: correction, served", written_by(debiasers()["affine"]), read_served, True),
        ("own: answers", write_store, read_store, True),
        ("own: run folder", write_run, resumed, True),
        ("own: rounds", write_rounds, read_rounds, True),
        ("own: checkpoints", write_checkpoints, read_newest, True),
    ]


TRAINING = ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def write_training(folder: Path, step: int) -> None:
    """Write what a trainer writes into a checkpoint, and sign it with the rounds."""
    import torch
    from safetensors.torch import save_file

    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    weights = folder / "model.safetensors"
    save_file({"weight": torch.arange(32.0)}, weights)
    for name in TRAINING[2:]:
        torch.save({"state": torch.ones(8)}, folder / name)
    read_checkpoint(folder).write(folder, [weights])


def signed_anew() -> Iterator[tuple[Any, ...]]:
    """Describe files whose checksum is made again after the damage: what is behind it is read."""
    own_kinds = {kind[0]: kind for kind in own()}

    def sign_correction(folder: Path) -> None:
        path = folder / "c.json"
        document = json.loads(path.read_bytes())
        document["checksum"] = None
        path.write_text(json.dumps(document))

    def sign_rounds(folder: Path) -> None:
        from iterit.training.saving.checkpoints import (
            _signed,  # the only way to write what no writer of ours writes
        )

        path = folder / "iterit" / "rounds.json"
        content = json.loads(path.read_bytes())
        content.pop("digest")
        for name in content["files"]:
            content["files"][name] = hashlib.sha256((path.parent / name).read_bytes()).hexdigest()
        path.write_bytes(_signed(json.dumps(content, indent=1).encode()))

    for name, kind in own_kinds.items():
        if name.startswith("own: correction"):
            yield (f"{name}, signed anew", kind[1], kind[2], False, sign_correction)
        if name == "own: rounds":
            yield (f"{name}, signed anew", kind[1], kind[2], False, sign_rounds)
