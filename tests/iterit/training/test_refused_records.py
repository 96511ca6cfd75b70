"""Records that the template cannot take: counted and said, never scored, picked or trained."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from debias.errors import ExcludedRowsWarning, ParameterError, RecordsError
from iterit.records.instruction_records import Records, read_records
from iterit.training.trainer import IterIT
from tests.support.refusals import refused
from tests.support.small_runs import N_ROWS, model_of, picks_of, rows, trainer_of

TOOLS = {"tools": [{"name": "weather"}]}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")


def test_a_run_goes_on_without_them(tmp_path):
    given = [{**row, **(TOOLS if place % 4 == 0 else {})} for place, row in enumerate(rows())]
    trainer = trainer_of(tmp_path, model_of("qwen2"), num_train_epochs=2)
    iterit = IterIT(given, 0.5, show_progress=False, max_ifd=50.0)
    with pytest.warns(ExcludedRowsWarning, match="10 records were refused by the template"):
        iterit.attach(trainer)
    assert list(iterit.refused) == list(range(0, N_ROWS, 4))
    trainer.train()
    first, second = picks_of(iterit)
    assert len(first) == len(second) == 20
    assert not (set(first) | set(second) | set(iterit.rounds.state.scores["row"])) & set(iterit.refused)
    assert np.isfinite(iterit.rounds.state.scores["ifd"]).all()


def test_a_template_that_takes_none_is_named_before_anything_trains(tmp_path):
    iterit = IterIT([{**row, **TOOLS} for row in rows()])
    with refused(RecordsError, row=0, mentions="tools"):
        iterit.attach(trainer_of(tmp_path, model_of("qwen2")))


def test_a_script_is_told_of_rows_that_are_not_used_and_fields_that_are_not_read(tmp_path):
    bad, odd = {"question": "a", "answer": " "}, {"question": "a", "answer": "b", "id": 7}
    with pytest.warns(ExcludedRowsWarning) as told:
        assert len(IterIT([*rows(), bad, odd]).records) == N_ROWS + 1
    assert sorted(str(one.message)[:10] for one in told) == ["1 row has ", "1 row was "]
    paths = [tmp_path / "a.jsonl", str(tmp_path / "b.jsonl")]
    for path in paths:
        with open(path, "w") as file:
            file.write("\n".join(map(json.dumps, rows())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(IterIT(paths).records) == 2 * N_ROWS


def test_a_script_is_told_of_them_where_it_read_the_records_itself(tmp_path):
    bad = {"question": "a", "answer": " "}
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [*rows(), bad])))
    with pytest.warns(ExcludedRowsWarning) as told:
        IterIT(read_records(tmp_path / "a.jsonl"))
    assert len(told) == 1


def test_a_record_is_never_longer_than_the_context_and_answers_that_are_cut_are_said(tmp_path):
    long = [
        {"question": "Who", "answer": "the Nile " * 400},
        {"question": "the book " * 400, "answer": "Who"},
    ]
    trainer = trainer_of(tmp_path, model_of(), num_train_epochs=1, save_strategy="no")  # a context of 512
    iterit = IterIT([*rows(), *long], 1.0 - 1 / 42, show_progress=False, max_tokens=1024, max_ifd=1e9)
    told = "of 42 records, the answers of 1 are cut at the end and those of 1 are cut off whole: .* 512 token"
    with pytest.warns(ExcludedRowsWarning, match=told):
        iterit.attach(trainer)
    trainer.train()
    picked, scores = picks_of(iterit)[0], iterit.rounds.state.newest()
    assert N_ROWS in picked and N_ROWS + 1 not in picked
    assert len(iterit.rounds.encoded.of(N_ROWS)) == 512 and scores["status"][N_ROWS] == "truncated"
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExcludedRowsWarning)
        IterIT(rows()).attach(trainer_of(tmp_path, model_of()))


def test_numbers_that_no_run_can_have_are_refused_before_anything_is_loaded():
    for wrong in (0, -1, 10.5):
        with refused(ParameterError, parameter="max_tokens", received=wrong):
            IterIT(rows(), max_tokens=wrong)
    with refused(ParameterError, parameter="quotas", mentions=("4 of the 10",)):
        IterIT(rows(), 0.25, quotas={"rows": 0.4})
    with refused(ParameterError, parameter="quotas", mentions=("3 of the 5",)):
        IterIT(rows(), 0.5, rows=range(10), quotas={"rows": 3})


@pytest.mark.parametrize(
    "given",
    [
        5,
        None,
        b"a.jsonl",
        ["a.jsonl", {"question": "a", "answer": "b"}],
        [{"question": "a"}, Path("a.jsonl")],
    ],
)
def test_what_is_neither_paths_nor_rows_is_refused_in_our_words(given):
    with refused(ParameterError, parameter="records", received=given, allowed=str):
        IterIT(given)
    if not isinstance(given, list):
        with refused(ParameterError, parameter="rows", received=given):
            Records.from_rows(given)
    with refused(ParameterError, parameter="paths", received=given):
        read_records(given)
