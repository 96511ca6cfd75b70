"""Drawn answers against brute force: every text that a tiny model can write, with its exact probability."""

import zlib
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from debias.errors import ContextLengthError
from debias.inference.collection.collection import collect
from debias.inference.texts.tasks import Task
from debias.inference.transformers.drawn_answers import AnswerDraws, draw_tokens
from debias.inference.votes.answer_matching import AnswerMatcher
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


def naive_answer(engine, prompt: str, number: int, sampling: Sampling) -> tuple[str, float]:
    """One answer, token by token, from the whole logits of the whole text; how near it was to another."""
    random = np.random.default_rng(sampling.entropy_of(prompt, number)).random(sampling.max_tokens)
    context = list(engine.tokenizer(prompt)["input_ids"])
    drawn: list[int] = []
    nearest = 1.0
    for value in random:
        ends = np.cumsum(table_after(engine.model, context + drawn, sampling.temperature))
        token = int(np.searchsorted(ends / ends[-1], value, side="right"))
        nearest = min(nearest, float(np.abs(ends[:-1] / ends[-1] - value).min()))
        if token == engine.tokenizer.eos_token_id:
            break
        drawn.append(token)
        if sampling.first_line and "\n" in engine.tokenizer.decode(drawn).lstrip():
            break
    return engine.tokenizer.decode(drawn), nearest


@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral_window", "gemma2"])
def test_answers_are_those_of_the_naive_loop(name):
    """But for those that rounding decides: two ways to compute a float32 model differ by some 1e-6."""
    engine, sampling = tiny_engine(name), Sampling(0.8, max_tokens=4, seed=3)
    asked = [Asked(prompt, (0, 1, 4)) for prompt in PROMPTS]
    found = engine.sampled_answers(asked, sampling)
    n_compared = 0
    for one, texts in zip(asked, found, strict=True):
        for number, text in zip(one.numbers, texts, strict=True):
            expected, nearest = naive_answer(engine, one.prompt, number, sampling)
            if nearest > 2e-5:
                assert text == expected
                n_compared += 1
    assert n_compared >= 10


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
    """All texts of two tokens by enumeration, in groups of about equal probability."""
    engine = tiny_engine("llama", seed=2)
    tokenizer, size = byte_tokenizer(), len(byte_tokenizer())
    end = tokenizer.eos_token_id
    context = list(tokenizer(PROMPTS[0])["input_ids"])
    first = table_after(engine.model, context)
    weights: Counter[str] = Counter()
    for token in range(size):
        start = "" if token == end else tokenizer.decode([token])
        if token == end or "\n" in start.lstrip():
            weights[start] += first[token]
            continue
        after = table_after(engine.model, [*context, token])
        for following in range(size):
            text = start if following == end else tokenizer.decode([token, following])
            weights[text] += first[token] * after[following]
    assert sum(weights.values()) == pytest.approx(1)
    (texts,) = engine.sampled_answers([Asked(PROMPTS[0], tuple(range(MANY)))], Sampling(1.0, 2, 0))
    assert set(texts) <= set(weights)
    groups, expected, seen = 12, np.zeros(12), np.zeros(12)
    for text, weight in weights.items():
        expected[zlib.crc32(text.encode()) % groups] += weight * MANY
    for text, times in Counter(texts).items():
        seen[zlib.crc32(text.encode()) % groups] += times
    assert chisquare(seen, expected * MANY / expected.sum()).pvalue > 1e-3


def test_votes_of_one_token_converge_to_the_label_probabilities():
    engine, prompt = tiny_engine("llama", seed=1), PROMPTS[0] + "\n"
    words = [byte_tokenizer().decode([token]) for token in range(len(byte_tokenizer()))]
    table = table_after(engine.model, list(byte_tokenizer()(prompt)["input_ids"]))
    labels = []
    for token in np.argsort(-table):
        matcher = AnswerMatcher([[words[token]]])
        alone = sum(matcher.match(word).place == 0 for word in words) == 1
        if alone and words[token].isalnum() and engine.encode([prompt + words[token]])[0][-1] == token:
            labels.append(words[token])
    task = Task("letter", labels=labels[:4], question_prefix="", answer_prefix="")
    assert task.prompt(PROMPTS[0]) == prompt
    exact = collect(engine, task, PROMPTS[:1], progress=False)
    votes = VoteSettings(votes=1024, answer_tokens=1, smoothing=1e-6)
    voted = collect(engine, task, PROMPTS[:1], progress=False, votes=votes)
    mass, n_votes = exact.label_mass[0], exact.label_mass[0] * 1024
    assert n_votes > 50
    assert abs(voted.label_mass[0] - mass) < 4.5 * np.sqrt(mass * (1 - mass) / 1024)
    spread = np.sqrt(exact.to_numpy() * (1 - exact.to_numpy()) / n_votes)
    assert (np.abs(voted.to_numpy() - exact.to_numpy()) < 4.5 * spread + 1e-3).all()


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
