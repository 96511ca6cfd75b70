"""What environment variables offer, and which requests are refused before they are queued."""

from types import SimpleNamespace

import pytest

from debias.errors import ParameterError
from debias.serving.vllm.offered_corrections import read_offers
from debias.serving.vllm.request_checks import check_request
from tests.support.refusals import refused

TABLE = """
[trec]
file = "trec.json"

[news]
file = "other/news.json"
labels = { World = "world", Sports = "sports" }
tokenizer = "0123"
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "served.toml"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_several_corrections_in_a_table(table):
    offers = read_offers({"DEBIAS_CORRECTIONS": str(table), "DEBIAS_DEFAULT_CORRECTION": "news"})
    assert list(offers.by_name) == ["trec", "news"] and offers.default == "news"
    news = offers.by_name["news"]
    assert news.file == table.parent / "other" / "news.json"
    assert (news.labels, news.tokenizer) == ({"World": "world", "Sports": "sports"}, "0123")
    assert offers.name_for({}) == "news"
    assert offers.name_for({"debias_correction": "trec"}) == "trec"
    assert offers.name_for({"debias_correction": "none"}) is None


def test_other_environments_are_refused(table):
    for value in ("", "folder", "trec.parquet"):
        with refused(ParameterError, parameter="DEBIAS_CORRECTIONS", received=value):
            read_offers({"DEBIAS_CORRECTIONS": value})
    with refused(ParameterError, parameter="DEBIAS_CORRECTIONS", received=["none"]):
        read_offers({"DEBIAS_CORRECTIONS": "none.json"})
    with refused(ParameterError, parameter="DEBIAS_DEFAULT_CORRECTION", received="other"):
        read_offers({"DEBIAS_CORRECTIONS": str(table), "DEBIAS_DEFAULT_CORRECTION": "other"})


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("", "DEBIAS_CORRECTIONS"),
        ("a = [", "DEBIAS_CORRECTIONS"),
        ("[none]\nfile = 'a.json'", "DEBIAS_CORRECTIONS"),
        ("a = 3", "a"),
        ("[a]\nlabels = {}", "a"),
        ("[a]\nfile = 3", "a"),
        ("[a]\nfile = 'a.json'\nother = 3", "a"),
        ("[a]\nfile = 'a.json'\nlabels = ['x']", "a"),
        ("[a]\nfile = 'a.json'\nlabels = { x = 1 }", "a"),
        ("[a]\nfile = 'a.json'\ntokenizer = 3", "a"),
    ],
)
def test_a_table_that_is_not_one_is_refused(table, text, parameter):
    table.write_text(text, encoding="utf-8")
    with refused(ParameterError, parameter=parameter, file=str(table)):
        read_offers({"DEBIAS_CORRECTIONS": str(table)})
    table.unlink()
    with refused(ParameterError, parameter="DEBIAS_CORRECTIONS", file=str(table)):
        read_offers({"DEBIAS_CORRECTIONS": str(table)})


def request(correction=None, **changes):
    arguments = None if correction is None else {"debias_correction": correction}
    settings = {"extra_args": arguments, "repetition_penalty": 1.0, "logit_bias": None}
    return SimpleNamespace(**settings | changes)


def test_requests_that_cannot_be_corrected_are_refused(table):
    offers = read_offers({"DEBIAS_CORRECTIONS": str(table)})
    check_request(request("trec"), offers)
    check_request(request(repetition_penalty=1.2, logit_bias={3: 1.0}), offers)
    for wrong in ("other", "../trec", str(table), 3, ["trec"], True, ""):
        with refused(
            ParameterError, parameter="debias_correction", received=wrong, mentions=("trec", "news")
        ):
            check_request(request(wrong), offers)
    with refused(ParameterError, parameter="repetition_penalty", received=1.2):
        check_request(request("trec", repetition_penalty=1.2), offers)
    with refused(ParameterError, parameter="logit_bias", received={3: 1.0}):
        check_request(request("trec", logit_bias={3: 1.0}), offers)
