"""Drawn answers against brute force: every text that a tiny model can write, with its exact probability."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from debias.errors import ContextLengthError
from debias.inference.collection.collection import collect
from debias.inference.texts.tasks import Task
from debias.inference.transformers.drawn_answers import AnswerDraws, draw_tokens
from debias.inference.votes.sampling import Asked, Sampling
from debias.inference.votes.vote_settings import VoteSettings
from tests.support.refusals import refused
from tests.support.tiny_models import PROMPTS, byte_tokenizer, tiny_engine, tiny_model

MANY = 2000


def table_after(model, context: list[int], temperature: float = 1.0) -> np.ndarray:
    """Probabilities of the next token: no batch, no cache, no mask."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([context])).logits[0, -1].double()
    return torch.softmax(logits / temperature, -1).numpy()


def naive_answer(engine, prompt: str, number: int, sampling: Sampling) -> str:
    """One answer, token by token, from the whole logits of the whole text."""
    random = np.random.default_rng(sampling.entropy_of(prompt, number)).random(sampling.max_tokens)
    context = list(engine.tokenizer(prompt)["input_ids"])
    drawn: list[int] = []
    for value in random:
        ends = np.cumsum(table_after(engine.model, context + drawn, sampling.temperature))
        token = int(np.searchsorted(ends / ends[-1], value, side="right"))
        if token == engine.tokenizer.eos_token_id:
            break
        drawn.append(token)
        if sampling.first_line and "\n" in engine.tokenizer.decode(drawn).lstrip():
            break
    return engine.tokenizer.decode(drawn)


@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral_window", "gemma2"])
def test_answers_are_those_of_the_naive_loop(name):
    engine, sampling = tiny_engine(name), Sampling(0.8, max_tokens=4, seed=3)
    asked = [Asked(prompt, (0, 1, 4)) for prompt in PROMPTS]
    expected = [[naive_answer(engine, one.prompt, n, sampling) for n in one.numbers] for one in asked]
    assert engine.sampled_answers(asked, sampling) == expected


def test_answers_do_not_depend_on_the_batch_on_threads_or_on_what_else_is_asked():
    engine, sampling = tiny_engine("llama"), Sampling(1.0, max_tokens=3, seed=0)
    asked = [Asked(prompt, tuple(range(20))) for prompt in PROMPTS]
    whole = engine.sampled_answers(asked, sampling)
    small = tiny_engine("llama", max_batch_tokens=16).sampled_answers(asked, sampling)
    alone = [engine.sampled_answers([one], sampling)[0] for one in reversed(asked)][::-1]
    later = [engine.sampled_answers([Asked(one.prompt, (7, 19))], sampling)[0] for one in asked]
    torch.set_num_threads(2)
    threaded = engine.sampled_answers(asked, sampling)
    assert whole == small == alone == threaded
    assert later == [[own[7], own[19]] for own in whole]
    assert engine.sampled_answers(asked, Sampling(1.0, max_tokens=3, seed=1)) != whole


def test_temperature_zero_takes_the_most_probable_token():
    engine = tiny_engine("llama")
    (texts,) = engine.sampled_answers([Asked(PROMPTS[0], (0, 1))], Sampling(0.0, max_tokens=3, seed=0))
    context = list(engine.tokenizer(PROMPTS[0])["input_ids"])
    for _ in range(3):
        context.append(int(table_after(engine.model, context).argmax()))
    assert texts == [engine.tokenizer.decode(context[-3:])] * 2


def test_frequencies_converge_to_the_probabilities_of_all_texts():
    """Two tokens: all texts of the model, by enumeration; the label shares of votes follow from them."""
    engine = tiny_engine("llama", seed=2)
    prompt, size = PROMPTS[0], len(byte_tokenizer())
    context = list(engine.tokenizer(prompt)["input_ids"])
    first = table_after(engine.model, context)
    labels = ("Q", "W", "1")
    weights = np.zeros(len(labels) + 1)
    for token in range(size):
        after = table_after(engine.model, [*context, token])
        start = "" if token == engine.tokenizer.eos_token_id else engine.tokenizer.decode([token])
        for following in range(size):
            ended = token == engine.tokenizer.eos_token_id or following == engine.tokenizer.eos_token_id
            text = start if ended or "\n" in start.lstrip() else engine.tokenizer.decode([token, following])
            line = next((one.strip() for one in text.splitlines() if one.strip()), "")
            place = labels.index(line) if line in labels else len(labels)
            weights[place] += first[token] * after[following]
    task = Task("letter", labels=labels, answer_prefix="")
    (texts,) = engine.sampled_answers([Asked(prompt, tuple(range(MANY)))], Sampling(1.0, 2, 0))
    counts = np.zeros(len(labels) + 1)
    for text in texts:
        line = next((one.strip() for one in text.splitlines() if one.strip()), "")
        counts[labels.index(line) if line in labels else len(labels)] += 1
    assert weights.sum() == pytest.approx(1)
    assert task.continuations == labels
    keep = weights * MANY > 5
    shares, seen = weights[keep], counts[keep]
    assert chisquare(seen, shares / shares.sum() * seen.sum()).pvalue > 1e-3
    np.testing.assert_allclose(counts / MANY, weights, atol=4 * np.sqrt(0.25 / MANY))


def test_votes_of_one_token_converge_to_the_label_probabilities():
    engine = tiny_engine("llama", seed=1)
    task = Task("letter", labels=["Q", "W", "1", "?"], answer_prefix="")
    exact = collect(engine, task, PROMPTS[:3], progress=False)
    votes = VoteSettings(votes=1024, answer_tokens=1, smoothing=1e-6)
    voted = collect(engine, task, PROMPTS[:3], progress=False, votes=votes)
    n_votes = exact.label_mass.to_numpy() * 1024
    for row in range(3):
        spread = np.sqrt(0.25 / max(n_votes[row], 1))
        assert abs(voted.label_mass[row] - exact.label_mass[row]) < 4 * np.sqrt(0.25 / 1024)
        if n_votes[row] > 20:
            assert np.abs(voted.to_numpy()[row] - exact.to_numpy()[row]).max() < 4.5 * spread


def test_a_number_near_a_border_is_decided_by_the_prompt_alone():
    """Noise of a batch moves a number over a border; computed again alone, it does not."""
    logits = np.log(np.array([0.5, 0.5], dtype=np.float32))

    def noisy(contexts, on_logits):
        for row in range(len(contexts)):
            on_logits(row, logits + np.float32(1e-7 * row) * np.array([1, -1], dtype=np.float32))

    sampling = Sampling(1.0, max_tokens=1, seed=0)
    asked = [Asked(f"prompt {number}", tuple(range(200))) for number in range(5)]
    draws = AnswerDraws(noisy, lambda tokens: str(list(tokens)), frozenset(), sampling, nearest=1e-2)
    answers = draws.draw(asked, [[1]] * 5, None)
    assert draws.n_alone > 0
    alone = AnswerDraws(noisy, lambda tokens: str(list(tokens)), frozenset(), sampling)
    assert answers == [alone.draw([one], [[1]], None)[0] for one in asked]


def test_drawing_inverts_the_cumulative_probabilities():
    random = np.random.default_rng(0)
    logits = random.normal(size=40).astype(np.float32) * 3
    uniform = random.random(500)
    tokens, distance = draw_tokens(logits, uniform, 0.7)
    shares = np.exp(logits.astype(float) / 0.7)
    ends = np.cumsum(shares / shares.sum())
    assert tokens.tolist() == [int(sum(value >= end for end in ends)) for value in uniform]
    assert distance == pytest.approx(np.abs(ends[:-1, None] - uniform).min(), rel=1e-6)


def test_a_prompt_too_long_for_an_answer_is_refused():
    engine = tiny_engine("llama")
    with refused(ContextLengthError, received=int):
        engine.sampled_answers([Asked("a" * 600, (0,))], Sampling(1.0, 4, 0))


def test_a_model_in_training_is_left_in_training():
    model = tiny_model("llama")
    model.train()
    engine = type(tiny_engine("llama"))(model, byte_tokenizer())
    engine.sampled_answers([Asked(PROMPTS[0], (0,))], Sampling(1.0, 2, 0))
    assert model.training
