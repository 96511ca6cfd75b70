"""An engine that asks another one for answers, and takes their frequencies for probabilities.

For models that return no log-probabilities. Everything that takes an engine takes this one.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from debias.errors import EngineError, ParameterError, param
from debias.inference.engine import Engine, FloatArray, check_texts
from debias.inference.texts.demonstrations import check_demonstrations
from debias.inference.texts.tasks import Task
from debias.inference.votes.answer_matching import AnswerMatcher
from debias.inference.votes.prompt_orders import ordered_openings
from debias.inference.votes.sampling import Asked, OnAnswers
from debias.inference.votes.vote_counts import VoteTally, smoothed
from debias.inference.votes.vote_settings import VoteSettings, votes_of


class VotingEngine(Engine):
    """Frequencies of sampled answers in place of probabilities.

    Parameters
    ----------
    engine : Engine
        One that samples answers: every engine of this package does.
    task : Task
        Its labels and class names are what answers are matched with.
    votes : int or VoteSettings
    demonstrations : sequence of Demonstration or (text, class name), default=()
        Those of the prompts; needed where votes are by orders.

    Attributes
    ----------
    settings : VoteSettings
    sampling : Sampling
        How answers are drawn, defaults filled in.

    Raises
    ------
    EngineError
        The engine cannot sample answers.
    ParameterError
        A setting is not allowed, or there are not so many orders.

    Examples
    --------
    >>> class Coin(Engine):
    ...     context_length, fingerprint = 100, {"model": "coin"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations): ...
    ...
    ...     def sampled_answers(self, asked, sampling, on_answers=None):
    ...         return [["heads", "Tails.", "heads", "edge"] for _ in asked]
    >>> task = Task("coin", labels=["heads", "tails"])
    >>> engine = VotingEngine(Coin(), task, votes=4)
    >>> np.exp(engine.label_logprobs(["Which side?"], task.continuations)).round(3)
    array([[0.455, 0.273]])
    >>> class Mute(Engine):
    ...     context_length, fingerprint = 100, {"model": "mute"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations): ...
    >>> VotingEngine(Mute(), task, votes=4)
    Traceback (most recent call last):
    debias.errors.EngineError: Mute cannot sample answers, which votes need; use a TransformersEngine, ...
    """

    def __init__(
        self,
        engine: Engine,
        task: Task,
        votes: int | VoteSettings,
        demonstrations: Sequence[tuple[str, ...]] = (),
    ) -> None:
        self.settings = votes_of(votes)
        if not self.settings.n_votes:
            raise ParameterError(parameter="votes", allowed="a positive integer", received=None)
        if not engine.samples_answers:
            raise cannot_sample(engine)
        self._engine, self._task = engine, task
        self.prompts_at_once = engine.prompts_at_once
        self.sampling = self.settings.sampling(_longest_label(engine, task))
        self._own_opening, self._openings = "", [""]
        if self.settings.vote_by == "orders":
            shown = check_demonstrations(task, demonstrations)
            n_orders, seed = self.settings.n_votes, self.settings.vote_seed
            self._own_opening = task.opening(shown)
            self._openings = ordered_openings(task, shown, n_orders, seed)

    def __repr__(self) -> str:
        return f"VotingEngine({self._engine!r}, {self._task.name!r}, votes={self.settings.n_votes})"

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and a label, with room for a whole answer."""
        return self._engine.context_length - self.sampling.max_tokens

    @property
    def fingerprint(self) -> dict[str, Any]:
        """That of the engine as it samples, and the settings of the votes."""
        return {**self._engine.sampling_fingerprint, "votes": self.settings.described(self.sampling)}

    @property
    def asked(self) -> dict[str, object]:
        """What decides the answers to a prompt, JSON-able: not their number, nor how they are counted."""
        return {"engine": self._engine.sampling_fingerprint, "sampling": self.sampling.settings()}

    def asked_of(self, prompt: str) -> list[Asked]:
        """Return what is asked for the votes of a prompt.

        Parameters
        ----------
        prompt : str
            As the task makes it.

        Returns
        -------
        list of Asked
            One with several numbers for samples; one for each order.

        Raises
        ------
        ParameterError
            Votes are by orders, and the prompt does not begin as the task's prompts do.
        """
        if self.settings.vote_by == "samples":
            return [Asked(prompt, tuple(range(self.settings.n_votes)))]
        if not prompt.startswith(self._own_opening):
            raise ParameterError(
                parameter="prompts",
                received=prompt[:60],
                allowed="prompts of the task, with the demonstrations of this engine",
            )
        question = prompt[len(self._own_opening) :]
        return [Asked(opening + question, (0,)) for opening in self._openings]

    def ask(self, asked: Sequence[Asked], on_answers: OnAnswers | None = None) -> list[list[str]]:
        """Return answers to prompts; see :meth:`debias.inference.engine.Engine.sampled_answers`."""
        return self._engine.sampled_answers(asked, self.sampling, on_answers)

    def tally(self, labels: Sequence[str] | None = None) -> VoteTally:
        """Return what counts answers as votes for labels: the task's labels and class names by default."""
        own = self._task.continuations
        if labels is None or tuple(labels) == own:
            names = zip(self._task.labels, self._task.class_names, strict=True)
            forms: list[tuple[str, ...]] = [(label, name) for label, name in names]
        else:
            forms = [(label,) for label in labels]
        return VoteTally(AnswerMatcher(forms, self.settings.matching), len(forms))

    def label_logprobs(self, prompts: Sequence[str], labels: Sequence[str]) -> FloatArray:
        """Logarithms of smoothed frequencies of every label among the answers to every prompt.

        No answer is kept here; :func:`~debias.inference.collection.collection.collect` keeps them.

        Parameters
        ----------
        prompts : sequence of str, length n
        labels : sequence of str, length K

        Returns
        -------
        float64 array, shape (n, K)
            Of the labels and one more outcome, an answer that is no label, which is smoothed alike.
        """
        prompts = check_texts(prompts, "prompts")
        asked = [(row, one) for row, prompt in enumerate(prompts) for one in self.asked_of(prompt)]
        found: list[list[str]] = [[] for _ in prompts]
        for (row, _), texts in zip(asked, self.ask([one for _, one in asked]), strict=True):
            found[row] += texts
        counts = self.tally(labels).count(found)
        unmatched = [len(texts) - own.sum() for texts, own in zip(found, counts, strict=True)]
        outcomes = np.column_stack([counts.reshape(len(prompts), len(labels)), unmatched])
        return np.log(smoothed(outcomes, self.settings.smoothing))[:, :-1]

    def continuation_logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> NoReturn:
        """Raise EngineError: votes say nothing of texts."""
        raise EngineError(
            "votes say how often a model answers with a label, and nothing about other texts",
            parameter="engine",
            received=type(self).__name__,
            fix="use the engine itself",
        )

    def operations_per_token(self) -> float:
        """Return the engine's operations for a token."""
        return self._engine.operations_per_token()

    def facts(self) -> dict[str, Any]:
        """Return how the engine samples."""
        return self._engine.sampling_facts()

    def usage(self) -> dict[str, Any]:
        """Return what answering cost the engine."""
        return self._engine.usage()

    def versions(self) -> dict[str, str]:
        """Return the engine's versions."""
        return self._engine.versions()

    def encode(self, texts: Sequence[str]) -> list[list[int]] | None:
        """Return the engine's tokens."""
        return self._engine.encode(texts)


def cannot_sample(engine: Engine) -> EngineError:
    """Return the error of an engine without sampled answers."""
    name = type(engine).__name__
    return EngineError(
        f"{name} cannot sample answers, which votes need",
        parameter="engine",
        received=name,
        fix="use a TransformersEngine, VLLMEngine or OpenAIEngine, give it a method sampled_answers, or omit"
        f" {param('votes')}",
    )


def _longest_label(engine: Engine, task: Task) -> int | None:
    """Return the tokens of the longest label or class name, None where the engine cannot tell."""
    space = " " if task.answer_prefix.endswith(" ") else ""
    words = [space + word for word in dict.fromkeys((*task.labels, *task.class_names))]
    encoded = engine.encode(words)
    return None if encoded is None else max(map(len, encoded))
