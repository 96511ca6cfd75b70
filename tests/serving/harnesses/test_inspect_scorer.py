"""The scorer of inspect-ai, found by its entry point and run in real evaluations with a mock model."""

import math
import os
import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest

from debias.corrections.bases.base import Identity
from debias.corrections.correction import Triangle, Weight
from debias.errors import LabelError
from debias.metrics import cobias, worst_class_accuracy
from debias.serving import ServedCorrection
from tests.support.drawn_corrections import (
    drawn_correction,
    drawn_log_likelihoods,
    literal_decision,
    saved,
)
from tests.support.paths import ROOT
from tests.support.refusals import refused

pytest.importorskip("inspect_ai", reason="needs inspect-ai: make test-harness")
pytestmark = [pytest.mark.harness, pytest.mark.filterwarnings("ignore")]

KINDS = ("Bug", "Billing")
HALVED = ServedCorrection(KINDS, (Weight(1, 2), Triangle(0, 1, 1)), Identity())


def output_of(shares, drawn=None):
    """Return an answer of a model with these log-probabilities of its first token."""
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessageAssistant,
        Logprob,
        Logprobs,
        ModelOutput,
        ModelUsage,
        TopLogprob,
    )

    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # or the mock loads a tokenizer
    if shares is None:
        choice = ChatCompletionChoice(message=ChatMessageAssistant(content="Bug", source="generate"))
        return ModelOutput(model="mockllm", choices=[choice], usage=usage)
    listed = [TopLogprob(token=token, logprob=value) for token, value in shares.items()]
    drawn = drawn or max(shares, key=shares.get)
    first = Logprob(token=drawn, logprob=shares[drawn], top_logprobs=listed)
    message = ChatMessageAssistant(content=drawn, source="generate")
    choice = ChatCompletionChoice(message=message, logprobs=Logprobs(content=[first]))
    return ModelOutput(model="mockllm", choices=[choice], usage=usage)


def evaluate(tmp_path, samples, outputs, epochs=1, **options):
    """Run inspect's evaluation, where the mock answers each input with its output, and return its log."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import GenerateConfig, get_model
    from inspect_ai.solver import generate

    from debias.serving.harnesses import corrected_answer

    task = Task(
        dataset=MemoryDataset([Sample(**one) for one in samples]),
        solver=generate(),
        scorer=corrected_answer(**options),
        config=GenerateConfig(logprobs=True, top_logprobs=20, max_tokens=1),
        epochs=epochs,
    )
    answers = {one["input"]: output for one, output in zip(samples, outputs, strict=True)}
    model = get_model("mockllm/model", custom_outputs=lambda asked, *_: answers[asked[-1].text])
    (log,) = eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none")
    assert log.status == "success", log.error
    return log


def metrics_of(log):
    return {name: one.value for name, one in log.results.scores[0].metrics.items()}


def the_score(sample):
    (score,) = sample.scores.values()
    return score


def logs(**shares):
    return {token: math.log(share) for token, share in shares.items()}


def test_answers_are_corrected_bounded_or_unscored(tmp_path):
    file = saved(HALVED, tmp_path)
    samples = [
        {"input": f"ticket {k}", "target": kind}
        for k, kind in enumerate(["Billing", "Bug", "Bug", "Bug", "Bug"])
    ]
    outputs = [
        output_of(logs(Bug=0.6, Billing=0.36)),  # corrected to Billing
        output_of(logs(Bug=0.9, the=0.05)),  # Billing by its bound
        output_of(None),  # no log-probabilities
        output_of(logs(the=0.9, a=0.05)),  # no label
        output_of({"Bug": -0.1, "Billing": -0.1}),  # more than one
    ]
    log = evaluate(tmp_path, samples, outputs, correction=str(file))
    first, second, *unscored = [the_score(sample) for sample in log.samples]
    assert (first.value, first.answer, first.metadata["uncorrected"]) == ("C", "Billing", "Bug")
    assert (second.value, second.answer, second.metadata["bounded"]) == ("C", "Bug", ["Billing"])
    assert all(math.isnan(score.value) for score in unscored)
    assert [score.reason for score in unscored] == [
        "scoring_failed",
        "invalid_response_format",
        "scoring_failed",
    ]
    assert log.results.scores[0].unscored_samples == 3
    assert metrics_of(log) == {"accuracy": 1.0, "cobias": 0.0, "worst_class_accuracy": 1.0}


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_every_row_is_decided_as_one_by_one_and_the_metrics_are_ours(tmp_path, n_classes):
    rng = np.random.default_rng(n_classes)
    classes = [f"w{k}x" for k in range(n_classes)]
    correction = drawn_correction(rng, classes)
    rows = drawn_log_likelihoods(rng, 100, n_classes)
    rows -= np.logaddexp.reduce(rows, axis=1, keepdims=True)
    rows = np.maximum(rows, -8000.0)
    labels = rng.choice(classes, size=len(rows)).tolist()
    outputs = [output_of(dict(zip(classes, row.tolist(), strict=True))) for row in rows]
    samples = [{"input": f"row {k}", "target": label, "id": k} for k, label in enumerate(labels)]
    log = evaluate(tmp_path, samples, outputs, correction=str(saved(correction, tmp_path)))
    found = [the_score(sample).answer for sample in sorted(log.samples, key=lambda one: one.id)]
    assert found == [literal_decision(correction, row) for row in rows]
    expected = {
        "accuracy": np.mean([a == b for a, b in zip(labels, found, strict=True)]),
        "cobias": cobias(labels, found),
        "worst_class_accuracy": worst_class_accuracy(labels, found),
    }
    assert metrics_of(log) == pytest.approx(expected)


def test_choices_in_any_order_are_matched_by_name(tmp_path):
    file = saved(HALVED, tmp_path)
    samples = [
        {"input": "one", "choices": ["Bug", "Billing"], "target": "B"},
        {"input": "two", "choices": ["Billing", "Bug"], "target": "A"},
    ]
    outputs = [output_of(logs(A=0.6, B=0.36)), output_of(logs(B=0.6, A=0.36))]
    log = evaluate(tmp_path, samples, outputs, correction=str(file))
    assert [the_score(sample).answer for sample in log.samples] == ["Billing", "Billing"]
    assert metrics_of(log)["accuracy"] == 1.0


def test_several_epochs_are_averaged_within_classes(tmp_path):
    file = saved(HALVED, tmp_path)
    samples = [{"input": "one", "target": "Bug"}, {"input": "two", "target": "Billing"}]
    outputs = [output_of(logs(Bug=0.9, Billing=0.05))] * 2
    log = evaluate(tmp_path, samples, outputs, epochs=2, correction=str(file))
    assert metrics_of(log) == {"accuracy": 0.5, "cobias": 1.0, "worst_class_accuracy": 0.0}


def test_without_the_correction(tmp_path):
    file = saved(HALVED, tmp_path)
    outputs = [output_of(logs(Bug=0.6, Billing=0.36))]
    log = evaluate(
        tmp_path, [{"input": "one", "target": "Bug"}], outputs, correction=str(file), corrected=False
    )
    assert metrics_of(log)["accuracy"] == 1.0


def test_wrong_targets_and_choices_fail_the_evaluation(tmp_path):
    file = saved(HALVED, tmp_path)
    for sample in (
        {"input": "one", "target": "Other"},
        {"input": "one", "choices": ["Bug", "Other"], "target": "A"},
        {"input": "one", "choices": ["Bug", "Billing"], "target": "C"},
    ):
        with pytest.raises(AssertionError, match="TableError|class"):
            evaluate(tmp_path, [sample], [output_of(logs(Bug=0.9))], correction=str(file))


def test_labels_with_one_first_word_are_refused_before_the_model_is_asked(tmp_path):
    from debias.serving.harnesses import corrected_answer

    alike = ServedCorrection(("good day", "good night"), HALVED.corrections, Identity())
    with refused(LabelError, parameter="words"):
        corrected_answer(str(saved(alike, tmp_path)))
    corrected_answer(str(saved(alike, tmp_path)), words={"good day": "A", "good night": "B"})


def test_a_log_is_scored_again_by_the_name_of_the_entry_point(tmp_path):
    """As from an installed wheel, where the name of the package goes before the name of the scorer."""
    from inspect_ai.log import read_eval_log

    (point,) = [one for one in entry_points(group="inspect_ai") if one.name == "debias"]
    assert point.value == "debias.serving.harnesses.inspect_scorer"
    file, installed = saved(HALVED, tmp_path), tmp_path / "site-packages"
    installed.mkdir()
    (installed / "debias").symlink_to(ROOT / "debias")
    samples = [{"input": "one", "target": "Billing"}, {"input": "two", "target": "Bug"}]
    outputs = [output_of(logs(Bug=0.6, Billing=0.36)), output_of(logs(Bug=0.9, Billing=0.05))]
    log = evaluate(tmp_path, samples, outputs, correction=str(file), corrected=False)
    assert metrics_of(log) == {"accuracy": 0.5, "cobias": 1.0, "worst_class_accuracy": 0.0}
    again = tmp_path / "again.eval"
    words = ["score", log.location, "--scorer", "debias/corrected_answer", "-S", f"correction={file}"]
    words += ["--action", "overwrite", "--output-file", str(again), "--display", "plain"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "inspect_ai", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )  # not in a folder that has the package
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    rescored = read_eval_log(str(again))
    assert rescored.results.scores[0].name.removeprefix("debias/") == "corrected_answer"
    found = {name.removeprefix("debias/"): value for name, value in metrics_of(rescored).items()}
    assert found == {"accuracy": 1.0, "cobias": 0.0, "worst_class_accuracy": 1.0}


def test_scores_of_another_scorer_name_their_class(tmp_path):
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import get_model
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    from debias.serving.harnesses import cobias as inspect_cobias

    samples = [Sample(input=kind, target=kind, metadata={"kind": kind}) for kind in KINDS]
    dataset, measured = MemoryDataset(samples), [inspect_cobias("kind")]
    task = Task(dataset=dataset, solver=generate(), scorer=match(), metrics=measured)
    model = get_model("mockllm/model", custom_outputs=lambda *_: output_of(logs(Bug=0.9)))
    (log,) = eval(task, model=model, log_dir=str(tmp_path), display="none")
    assert log.status == "success", log.error
    assert metrics_of(log) == {"cobias": 1.0}
