"""The filter and the task in lm-evaluation-harness itself: its command line and files, on a tiny model."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from debias.corrections.bases.base import Identity
from debias.corrections.correction import Triangle
from debias.corrections.shapes import Scaled
from debias.errors import CorrectionFileError, ParameterError
from debias.metrics import cobias, worst_class_accuracy
from debias.serving import ServedCorrection, load
from debias.serving.harnesses.label_scores import among_labels
from tests.support.drawn_corrections import drawn_correction, literal_decision, saved
from tests.support.harness_files import KINDS, blocks_of, write_task, write_tickets
from tests.support.refusals import refused

pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness: make test-harness")
pytestmark = [pytest.mark.harness, pytest.mark.filterwarnings("ignore")]

KINDS_OF_THE_PAGE = ["Bug", "Billing", "Question"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    from tests.support.tiny_models import byte_tokenizer, tiny_model

    folder = tmp_path_factory.mktemp("model")
    tokenizer = copy.deepcopy(byte_tokenizer())
    tokenizer.pad_token = tokenizer.eos_token
    for part in (tiny_model("qwen2", tokenizer), tokenizer):
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Keep the harness's own caches in the folder of the test, and it away from hubs."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setenv("LM_HARNESS_CACHE_PATH", str(tmp_path / "requests"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(folder, model_folder, **options):
    """Run the harness in this process, and return its results."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    return lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model_folder), "device": "cpu"},
        tasks=["tickets"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
        **options,
    )


def samples_of(results, name):
    return [one for one in results["samples"]["tickets"] if one["filter"] == name]


def drawn_task(folder, seed=3, **settings):
    """Write a task, its documents and a correction that changes something."""
    write_tickets(folder, 30)
    correction = drawn_correction(np.random.default_rng(seed), KINDS)
    saved(correction, folder)
    write_task(folder, **settings)
    return correction


def check_predictions(results, correction, orders=None, n_blocks=1):
    """Compare every document with the definition, and the metrics with ours."""
    labels, found = [], []
    for place, one in enumerate(samples_of(results, "corrected")):
        names = KINDS if orders is None else orders[place]
        raw = [float(response[0][0]) for response in one["resps"]]
        assert len(raw) == n_blocks * len(names)
        by_name = dict(zip(names, raw, strict=False))
        expected = literal_decision(correction, [by_name[kind] for kind in KINDS])
        values = [value for value, _ in one["filtered_resps"]]
        assert names[int(np.argmax(values[: len(names)]))] == expected
        assert values[len(names) :] == raw[len(names) :]
        labels.append(one["doc"]["kind"])
        found.append(expected)
    ours = results["results"]["tickets"]
    assert ours["cobias,corrected"] == pytest.approx(cobias(labels, found))
    assert ours["worst_class_accuracy,corrected"] == pytest.approx(worst_class_accuracy(labels, found))
    assert ours["acc,corrected"] == pytest.approx(np.mean(np.array(labels) == np.array(found)))
    return found


def evening(results):
    """Return a correction that makes the classes about equally likely."""
    raw = np.array([[float(one[0][0]) for one in row["resps"]] for row in samples_of(results, "corrected")])
    usual = np.median(among_labels(raw), axis=0)
    corrections = [Scaled(Triangle(0, 1, 1, id=0), factor) for factor in (usual.min() / usual).tolist()]
    return ServedCorrection(tuple(KINDS), tuple(corrections), Identity())


def test_a_task_corrects_every_document(offline, model_folder):
    correction = drawn_task(offline)
    first = evaluate(offline, model_folder)
    check_predictions(first, correction)
    saved(correction := evening(first), offline)
    results = evaluate(offline, model_folder)
    found = check_predictions(results, correction)
    plain = [
        KINDS[int(np.argmax([v for v, _ in one["filtered_resps"]]))]
        for one in samples_of(results, "uncorrected")
    ]
    assert plain != found
    assert len(set(found)) > 1
    assert results["higher_is_better"]["tickets"]["cobias"] is False


def test_mutual_information_doubles_the_requests(offline, model_folder):
    correction = drawn_task(offline, metrics=["acc", "acc_mutual_info", "cobias", "worst_class_accuracy"])
    check_predictions(evaluate(offline, model_folder), correction, n_blocks=2)


def test_choices_in_another_order_in_every_document(offline, model_folder):
    correction = drawn_task(offline, doc_to_choice="kinds")
    lines = [json.loads(line) for line in (offline / "tickets.jsonl").read_text().splitlines()]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(KINDS).tolist() for _ in lines]
    rows = [json.dumps(line | {"kinds": order}) for line, order in zip(lines, orders, strict=True)]
    (offline / "tickets.jsonl").write_text("\n".join(rows))
    check_predictions(evaluate(offline, model_folder), correction, orders)


def test_requests_from_the_cache_are_grouped_as_well(offline, model_folder):
    correction = drawn_task(offline)
    first = evaluate(offline, model_folder, cache_requests=True)
    again = evaluate(offline, model_folder, cache_requests=True, limit=7)
    assert check_predictions(again, correction) == check_predictions(first, correction)[:7]


def test_a_plain_task_takes_the_filter(offline, model_folder):
    correction = drawn_task(offline, plain=True)
    results = evaluate(offline, model_folder)
    for one in samples_of(results, "corrected"):
        expected = literal_decision(correction, [float(response[0][0]) for response in one["resps"]])
        assert KINDS[int(np.argmax([value for value, _ in one["filtered_resps"]]))] == expected


def test_what_cannot_be_corrected_is_refused_before_the_model_runs(offline):
    from lm_eval.tasks import TaskManager

    def build():
        TaskManager(include_path=str(offline), include_defaults=False).load(["tickets"])

    drawn_task(offline, doc_to_choice=["Bug", "Pay", "Other"])
    with refused(ParameterError, parameter="choices", row=0):
        build()
    write_task(offline, doc_to_choice="kinds")
    rows = [{"message": "a", "kind": "Bug", "kinds": names} for names in (KINDS, [*KINDS[:2], "Other"])]
    (offline / "tickets.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with refused(ParameterError, parameter="choices", row=1):
        build()
    write_task(offline, correction="missing.json")
    with refused(CorrectionFileError):
        build()
    write_task(offline, output_type="generate_until")
    with refused(ParameterError, parameter="output_type", received="generate_until"):
        build()


@pytest.mark.parametrize("page", ["evaluation-harnesses.md"])
def test_the_task_and_the_command_of_the_page_work(offline, model_folder, page):
    write_tickets(offline, 12, KINDS_OF_THE_PAGE)
    saved(drawn_correction(np.random.default_rng(3), KINDS_OF_THE_PAGE), offline)
    (task,) = blocks_of("yaml", page)
    (offline / "tickets.yaml").write_text(task)
    (command,) = [
        line for block in blocks_of("console", page) for line in block.splitlines() if "lm_eval" in line
    ]
    words = command.removeprefix("$ ").replace("my-model", str(model_folder)).split()
    assert words[0] == "lm_eval"
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "worst_class_accuracy" in done.stdout and "corrected" in done.stdout
    assert load(offline / "correction.json").classes == tuple(KINDS_OF_THE_PAGE)
