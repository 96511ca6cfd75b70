"""Corrections inside a real vLLM: both model runners, and the OpenAI server. `make test-vllm` runs this.

The model has random weights and a few hundred tokens. Every answer is compared with what the correction
decides for the log-probabilities of the model alone, which vLLM returns beside it.
"""

import importlib.util
import json
import os
import random
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch

from debias.corrections.correction import Triangle, Weight
from debias.serving.served_correction import load
from debias.serving.vllm.first_tokens import first_tokens
from tests.support.correction_files import write_correction_file
from tests.support.paths import ROOT
from tests.support.tiny_models import byte_tokenizer, tiny_model
from tests.support.vllm_server import vllm_server

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"
    ),
]

CORRECTIONS = {
    "one": {"Number": Weight(1, 30), "good": Triangle(0, 0, 0.5), "planets": Triangle(0, 1, 1)},
    "falling": {"a": Triangle(0, 0, 1), "Number": Weight(1, 30)},
    "two": {"the": Triangle(0.9, 1, 1), "good": Triangle(0.95, 1, 1), "of": Triangle(0.99, 1, 1)},
}
TEXTS = (
    "Who wrote the book",
    "How many planets are there in the sky",
    "Where is it",
    "Who",
    "very good, very bad",
)
SECONDS = 900
SIZES = {"hidden_size": 128, "head_dim": 32, "num_key_value_heads": 4}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a model whose heads are of a size that vLLM has."""
    folder = tmp_path_factory.mktemp("served")
    tiny_model("llama", **SIZES).save_pretrained(folder / "model")
    byte_tokenizer().save_pretrained(folder / "model")
    for name, corrections in CORRECTIONS.items():
        write_correction_file(folder / f"{name}.json", corrections)
    tables = [f"[{name}]\nfile = '{name}.json'\n" for name in CORRECTIONS]
    (folder / "served.toml").write_text("".join(tables), encoding="utf-8")
    return folder / "model"


@pytest.fixture(scope="module")
def decide(model):
    """What a correction decides on: from the log-probabilities of labels to their tokens."""

    def decided(name, logprobs, ruled_out=()):
        tokens = labels_of(name)
        found = np.array([-np.inf if token in ruled_out else logprobs[str(token)] for token in tokens])
        shares = np.exp(found - found.max())
        return tokens[load(model.parent / f"{name}.json").decide([shares / shares.sum()])[0]]

    return decided


def labels_of(name):
    return first_tokens(byte_tokenizer(), [f" {label}" for label in CORRECTIONS[name]])


def requests():
    """Requests of all kinds, mixed."""
    draw = random.Random(0)
    asked = []
    for number in range(40):
        name = draw.choice([None, "one", "two"])
        parameters = {"max_tokens": draw.choice([1, 1, 2, 5]), "logprob_token_ids": labels_of(name or "one")}
        if name:
            parameters["extra_args"] = {"debias_correction": name}
        opening = f"Question {number}: " * draw.randint(0, 5)
        asked.append({"prompt": f"{opening}{draw.choice(TEXTS)} ?\nAnswer Type:", "parameters": parameters})
    return asked


def ask(model, folder, interface, asked):
    """Answers of a vLLM in a process of its own."""
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    command = [sys.executable, "-m", "tests.support.vllm_batch", str(model), interface]
    command += [str(folder / "asked.json"), str(folder / "answered.json")]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"DEBIAS_CORRECTIONS": str(model.parent / "served.toml")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads((folder / "answered.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["V1", "V2"])
def answers(request, model, tmp_path_factory):
    """Requests and answers with a processor, the same requests without their corrections last."""
    asked = requests()
    named = [one for one in asked if "extra_args" in one["parameters"]]
    without = [{**one, "parameters": {**one["parameters"], "extra_args": None}} for one in asked]
    falls, other = labels_of("falling")
    rules = ({}, {"allowed_token_ids": [other, 5]}, {"allowed_token_ids": [5]}, {"bad_words": ["a"]})
    falling = {"logprob_token_ids": [falls, other], "extra_args": {"debias_correction": "falling"}}
    masked = [{**named[0], "parameters": {"max_tokens": 1, **falling, **rule}} for rule in rules]
    wrong = [
        {**named[0], "parameters": {"extra_args": {"debias_correction": "three"}}},
        {**named[0], "parameters": {"extra_args": {"debias_correction": "one"}, "repetition_penalty": 1.3}},
    ]
    folder = tmp_path_factory.mktemp(request.param)
    found = iter(ask(model, folder, request.param, [*asked, *without, *masked, *wrong]))
    groups = {"asked": asked, "without": without, "masked": masked, "wrong": wrong}
    return {name: [(one, next(found)) for one in group] for name, group in groups.items()}


def test_first_tokens_are_those_that_the_correction_decides_on(answers, decide):
    changed = 0
    for (asked, answer), (_, plain) in zip(answers["asked"], answers["without"], strict=True):
        arguments = asked["parameters"].get("extra_args")
        if arguments is None:
            assert answer["tokens"] == plain["tokens"]
        else:
            name = arguments["debias_correction"]
            assert answer["tokens"][0] == decide(name, answer["logprobs"])
            likeliest = max(labels_of(name), key=lambda token: answer["logprobs"][str(token)])
            changed += answer["tokens"][0] != likeliest
        assert len(answer["tokens"]) == asked["parameters"]["max_tokens"]
    assert changed > 5


def test_later_tokens_are_the_models_own(answers):
    network, tokenizer = tiny_model("llama", **SIZES), byte_tokenizer()
    n_later = 0
    for asked, answer in answers["asked"]:
        tokens = answer["tokens"]
        if "extra_args" not in asked["parameters"] or len(tokens) == 1:
            continue
        whole = tokenizer(asked["prompt"])["input_ids"] + tokens
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([whole])).logits[0]
        n_later += len(tokens) - 1
        assert tokens[1:] == logits.argmax(-1)[-len(tokens) : -1].tolist()
    assert n_later > 20


def test_masked_tokens_stay_masked(answers):
    """One label always wins where it may, since its correction falls: a probability of 0 would, too."""
    falls, other = labels_of("falling")
    assert [answer["tokens"] for _, answer in answers["masked"]] == [[falls], [other], [5], [other]]


def test_requests_that_cannot_be_corrected_are_refused(answers):
    (_, unknown), (_, changed) = answers["wrong"]
    assert all(word in unknown["refused"] for word in ("debias_correction", "three", "one", "two"))
    assert all(word in changed["refused"] for word in ("repetition_penalty", "1.3"))


def test_a_server_corrects_the_requests_that_ask_for_it(model, tmp_path, decide):
    options = ["--max-model-len", "128", "--served-model-name", "tiny", "--logits-processors"]
    options += ["debias.serving.vllm:V1Processor"]
    table = str(model.parent / "served.toml")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(body):
        data = json.dumps(
            {"model": "tiny", "max_tokens": 1, "temperature": 0, "logprobs": 300, **body}
        ).encode()
        headers = {"Content-Type": "application/json"}
        with opener.open(
            urllib.request.Request(f"{address}/completions", data, headers), timeout=60
        ) as answer:
            return json.load(answer)["choices"][0]

    prompts = [f"{text} ?\nAnswer Type:" for text in TEXTS]
    tokenizer = byte_tokenizer()
    with vllm_server(
        model, tmp_path / "log.txt", *options, "--max-logprobs", "320", DEBIAS_CORRECTIONS=table
    ) as address:
        for prompt in prompts:
            plain = post({"prompt": prompt})
            top = plain["logprobs"]["top_logprobs"][0]
            logprobs = {str(token): top[tokenizer.decode([token])] for token in labels_of("two")}
            corrected = post({"prompt": prompt, "vllm_xargs": {"debias_correction": "two"}})
            assert corrected["text"] == tokenizer.decode([decide("two", logprobs)])
            assert plain["logprobs"]["token_logprobs"][0] >= max(top.values())  # some tokens share a text
        with pytest.raises(urllib.error.HTTPError) as caught:
            post({"prompt": prompts[0], "vllm_xargs": {"debias_correction": "../one"}})
        assert caught.value.code == 400
        assert "debias_correction" in caught.value.read().decode()
        assert post({"prompt": prompts[0]})["logprobs"]["token_logprobs"]  # the server goes on
