"""Engines that sample answers by plain arithmetic, note what they were asked, and can fail on purpose."""

from debias.inference.engine import Engine
from tests.support.plain_engine import uniform

WORDS = (" bad", "Fine.", "great\nText: more", "fine weather", "no idea")
"""Answers to prompts of ``plain_engine.TASK``: the last one matches no label."""


def expected_answer(prompt: str, number: int, seed: int = 0) -> str:
    """The answer that a prompt, its number and a seed decide."""
    return WORDS[int(uniform(f"{seed} {number} {prompt}") * len(WORDS))]


class SamplingEngine(Engine):
    """Answers by a hash; with ``fail_after`` it fails after so many answers, the last of them handed out."""

    context_length = 10_000

    def __init__(self, fail_after=None, error=None, name="sampling"):
        self.fail_after, self.error, self.name = fail_after, error, name
        self.asked: list[tuple[str, int]] = []

    @property
    def fingerprint(self):
        return {"engine": "sampling", "model": self.name}

    def continuation_logprobs(self, prompts, continuations):
        raise AssertionError("no probability may be asked for")

    def sampled_answers(self, asked, sampling, on_answers=None):
        answers = []
        for place, one in enumerate(asked):
            for number in one.numbers:
                if self.fail_after is not None and len(self.asked) >= self.fail_after:
                    raise self.error
                self.asked.append((one.prompt, number))
                if on_answers is not None:
                    on_answers(place, {number: expected_answer(one.prompt, number, sampling.seed)})
            answers.append([expected_answer(one.prompt, number, sampling.seed) for number in one.numbers])
        return answers
