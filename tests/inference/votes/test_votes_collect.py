"""Tables from votes: the naive count as referee, resumed, nothing asked twice, used by all that follows."""

import json

import numpy as np
import pytest

from debias.errors import EngineError, ParameterError, ResumeError
from debias.estimators.debiasers import WeightDebiaser
from debias.guarantees.certification import certify
from debias.inference.collection.collection import collect, collect_stream
from debias.inference.votes.vote_settings import VoteSettings
from debias.inference.votes.voting_engine import VotingEngine
from debias.reports.correction_report import Report
from debias.tables.table import ProbabilityTable
from tests.support.plain_engine import LABELS, TASK, TEXTS, PlainEngine
from tests.support.refusals import refused
from tests.support.sampling_engines import SamplingEngine, expected_answer

MATCHES = {" bad": 0, "Fine.": 1, "great\nText: more": 2, "fine weather": 1}


def referee(n_votes, smoothing=0.5):
    """Probabilities and shares of matched answers, one answer at a time."""
    rows, mass = [], []
    for text in TEXTS:
        counts = [0, 0, 0]
        for number in range(n_votes):
            place = MATCHES.get(expected_answer(TASK.prompt(text), number))
            if place is not None:
                counts[place] += 1
        rows.append([(count + smoothing) / (sum(counts) + 3 * smoothing) for count in counts])
        mass.append(sum(counts) / n_votes)
    return np.array(rows), np.array(mass)


def collected(engine, votes, **options):
    return collect(engine, TASK, TEXTS, LABELS, progress=False, votes=votes, **options)


@pytest.mark.parametrize("n_votes", [1, 3, 16])
def test_a_table_of_votes_is_the_naive_count(n_votes):
    table = collected(SamplingEngine(), n_votes)
    probabilities, mass = referee(n_votes)
    np.testing.assert_allclose(table.to_numpy(), probabilities, rtol=1e-12)
    np.testing.assert_allclose(table.label_mass, mass, rtol=1e-12)
    facts = table.metadata
    assert facts["n_votes"] == facts["votes"]["n_votes"] == n_votes
    assert sum(facts["votes"]["answers"].values()) == n_votes * len(TEXTS)
    assert set(facts["votes"]["unmatched_texts"]) == {"no idea"}
    assert facts["votes"]["temperature"] == 1.0
    assert facts["votes"]["rows_without_a_vote"] == int((mass == 0).sum())


@pytest.mark.parametrize("chunk_size", [1, 7, 64])
def test_the_table_does_not_depend_on_how_many_rows_are_asked_together(chunk_size):
    table = collected(SamplingEngine(), 3, chunk_size=chunk_size)
    np.testing.assert_array_equal(table.to_numpy(), collected(SamplingEngine(), 3).to_numpy())


def test_a_run_that_broke_off_resumes_within_a_row_and_makes_the_same_file(tmp_path):
    whole, out = tmp_path / "one" / "table.parquet", tmp_path / "two" / "table.parquet"
    for path in (whole, out):
        path.parent.mkdir()
    collected(SamplingEngine(), 4, out=whole, chunk_size=7)
    asked = []
    for _ in range(3):
        engine = SamplingEngine(fail_after=50, error=EngineError("it broke"))
        with refused(EngineError) as caught:
            collected(engine, 4, out=out, chunk_size=7)
        asked += engine.asked
        assert caught.value.kept.n_answers == len(asked)
    engine = SamplingEngine()
    collected(engine, 4, out=out, chunk_size=7)
    asked += engine.asked
    assert len(asked) == len(set(asked)) == 4 * len(TEXTS)
    assert out.read_bytes() == whole.read_bytes()


def test_more_votes_ask_for_the_rest_only_and_other_ways_to_count_for_nothing(tmp_path):
    collected(SamplingEngine(), 4, out=tmp_path / "four.parquet")
    more = SamplingEngine()
    table = collected(more, 8, out=tmp_path / "eight.parquet")
    assert len(more.asked) == 4 * len(TEXTS)
    assert {number for _, number in more.asked} == {4, 5, 6, 7}
    np.testing.assert_allclose(table.to_numpy(), referee(8)[0], rtol=1e-12)
    silent = SamplingEngine()
    votes = VoteSettings(votes=8, smoothing=2.0, matching="first-line")
    other = collected(silent, votes, out=tmp_path / "other.parquet")
    fewer = collected(silent, 2, out=tmp_path / "two.parquet")
    assert not silent.asked
    np.testing.assert_allclose(fewer.to_numpy(), referee(2)[0], rtol=1e-12)
    assert other.metadata["votes"]["answers"]["beginning"] == 0
    assert other.metadata["reused_rows"] == len(TEXTS)


@pytest.mark.parametrize(
    "votes",
    [
        VoteSettings(votes=4, temperature=0.5),
        VoteSettings(votes=4, vote_seed=1),
        VoteSettings(votes=4, answer_tokens=3),
        VoteSettings(votes=4, matching="exact"),
    ],
)
def test_answers_drawn_in_another_way_are_not_reused(tmp_path, votes):
    collected(SamplingEngine(), 4, out=tmp_path / "first.parquet")
    engine = SamplingEngine()
    collected(engine, votes, out=tmp_path / "second.parquet")
    assert len(engine.asked) == 4 * len(TEXTS)


def test_a_table_of_other_votes_is_not_replaced_and_one_of_the_same_is_read_back(tmp_path):
    out = tmp_path / "table.parquet"
    first = collected(SamplingEngine(), 4, out=out)
    engine = SamplingEngine()
    np.testing.assert_array_equal(collected(engine, 4, out=out).to_numpy(), first.to_numpy())
    assert not engine.asked
    for votes in (8, None):
        with refused(ResumeError) as caught:
            collected(engine, votes, out=out)
        assert any(name.startswith("engine.votes") for name in caught.value.received)


def test_a_stream_writes_the_same_file(tmp_path):
    for name in ("list", "stream"):
        (tmp_path / name).mkdir()
    collected(SamplingEngine(), 3, out=tmp_path / "list" / "t.parquet", chunk_size=16)
    rows = zip(TEXTS, LABELS, strict=True)
    out = tmp_path / "stream" / "t.parquet"
    collect_stream(SamplingEngine(), TASK, rows, out=out, votes=3, chunk_size=16, progress=False)
    assert out.read_bytes() == (tmp_path / "list" / "t.parquet").read_bytes()


def test_votes_by_orders_ask_each_order_once():
    shown = [("text A", "bad"), ("text B", "fine"), ("text C", "great")]
    engine = SamplingEngine()
    table = collected(engine, VoteSettings(votes=6, vote_by="orders"), demonstrations=shown)
    assert {number for _, number in engine.asked} == {0}
    assert len(set(engine.asked)) == len(engine.asked) == 6 * len(TEXTS)
    openings = {
        prompt.split(TEXTS[0])[0] for prompt, _ in engine.asked if TEXTS[0] in prompt.splitlines()[-2]
    }
    assert len(openings) == 6
    assert table.metadata["votes"]["vote_by"] == "orders"
    assert table.metadata["votes"]["temperature"] == 0
    with refused(ParameterError, parameter="votes", received=7):
        collected(engine, VoteSettings(votes=7, vote_by="orders"), demonstrations=shown)


def test_an_engine_that_samples_nothing_is_refused_before_it_is_asked():
    engine = PlainEngine()
    with refused(EngineError, parameter="engine", received="PlainEngine"):
        collected(engine, 4)
    with refused(EngineError, parameter="engine", received="PlainEngine"):
        engine.sampled_answers([], VoteSettings(votes=1).sampling(1))
    assert not engine.asked


def test_an_engine_that_answers_too_little_is_refused():
    class Short(SamplingEngine):
        def sampled_answers(self, asked, sampling, on_answers=None):
            return [texts[:-1] for texts in super().sampled_answers(asked, sampling)]

    with refused(EngineError, parameter="sampled_answers"):
        collected(Short(), 4)


def test_a_voting_engine_is_an_engine():
    engine = VotingEngine(SamplingEngine(), TASK, 4)
    logprobs = engine.label_logprobs([TASK.prompt(text) for text in TEXTS], TASK.continuations)
    shares = np.exp(logprobs)
    np.testing.assert_allclose(shares / shares.sum(axis=1, keepdims=True), referee(4)[0])
    assert (shares.sum(axis=1) < 1).all()
    with refused(EngineError, parameter="engine", received="VotingEngine"):
        engine.continuation_logprobs(["a"], ["b"])


def test_everything_downstream_takes_votes(tmp_path):
    table = collected(SamplingEngine(), 8, out=tmp_path / "votes.parquet")
    opt, held_out = table.take(range(0, 40)), table.take(range(40, 60))
    debiaser = WeightDebiaser(n_starts=2).fit(opt.probabilities, opt.labels)
    guarantee = certify(debiaser, held_out)
    assert 0 <= guarantee.confidence <= 1
    page = Report.from_debiaser(debiaser, held_out).to_html()
    assert "n_votes" in page
    table.write(tmp_path / "votes.csv")
    again = ProbabilityTable.read(tmp_path / "votes.csv")
    np.testing.assert_allclose(again.to_numpy(), table.to_numpy())
    assert json.loads(json.dumps(table.metadata)) == table.metadata
