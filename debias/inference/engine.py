"""The engine contract: two calls turn prompts into exact natural-log probabilities.

Class probabilities and instruction difficulty are both a few lines on top of it. A back end
must answer :meth:`Engine.continuation_logprobs` and may answer the rest better than the defaults.
A third call, which is optional, samples answers: see :meth:`Engine.sampled_answers`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debias.errors import EngineError, ParameterError
from debias.inference.votes.sampling import Asked, OnAnswers, Sampling
from debias.settings import check_list

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelScores:
    """Answers about labels, and which of them are bounds only.

    Parameters
    ----------
    logprobs : float64 array, shape (n, K)
        ``log P(label | prompt)`` (natural logarithm), not normalised over the labels.
    is_bound : bool array, shape (n, K), optional
        True where the probability is not known, only that it is not greater than this: a server
        that names the most probable tokens says no more of the others. None: all are exact.
    """

    logprobs: FloatArray
    is_bound: BoolArray | None = None


MOST_OPERATIONS = 2.4e12
"""What two current cores compute in ten seconds and a slow one in two minutes: answers that need more are
kept in between. Fewer at a time would cost speed: with a quarter, scoring takes 14 % longer."""

SCORINGS = ("label", "first-token")
"""Whether a label's probability is that of all its tokens, or of the first one alone."""
OnAnswer = Callable[[int, LabelScores], object]
"""Called with the position of a prompt and its answer, of shape (1, K), as soon as it is known."""


class Engine(ABC):
    """A causal language model that scores texts put after prompts.

    All answers are natural logarithms of probabilities over the whole vocabulary. A string to be
    scored is appended to its prompt exactly as it stands, a leading space included.

    Examples
    --------
    A model that knows two letters and likes ``a`` three times as much as ``b``:

    >>> import numpy as np
    >>> class Letters(Engine):
    ...     context_length = 100
    ...     fingerprint = {"model": "letters"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations):
    ...         return [np.log([0.75 if c == "a" else 0.25 for c in text]) for text in continuations]
    >>> np.exp(Letters().label_logprobs(["which?"], ["a", "b", "ab"])).round(4)
    array([[0.75  , 0.25  , 0.1875]])
    """

    prompts_at_once: int = 8
    """Prompts between two savings of answers; an engine that is quick with large batches sets more."""

    @property
    @abstractmethod
    def context_length(self) -> int:
        """Most tokens that a prompt and what follows it may have together."""

    @property
    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """What decides the answers (model, weights, precision), JSON-able: equal means same answers."""

    @abstractmethod
    def continuation_logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[FloatArray]:
        """Log-probability of every token of each continuation, given its prompt.

        Parameters
        ----------
        prompts : sequence of str, length n
        continuations : sequence of str, length n
            The text that follows each prompt.

        Returns
        -------
        list of n float64 arrays
            One natural-log probability per token of the continuation.
        """

    def label_logprobs(self, prompts: Sequence[str], labels: Sequence[str]) -> FloatArray:
        """Log-probability of every label after every prompt: the sum along the label's tokens.

        Parameters
        ----------
        prompts : sequence of str, length n
        labels : sequence of str, length K
            The same label texts for every prompt, usually with a leading space.

        Returns
        -------
        float64 array, shape (n, K)
            ``log P(label | prompt)`` (natural logarithm), not normalised over the labels.
        """
        prompts, labels = check_texts(prompts, "prompts"), check_texts(labels, "labels")
        pairs = [(prompt, label) for prompt in prompts for label in labels]
        scores = self.continuation_logprobs([p for p, _ in pairs], [label for _, label in pairs])
        return np.array([s.sum() for s in scores], dtype=np.float64).reshape(len(prompts), len(labels))

    def label_scores(
        self, prompts: Sequence[str], labels: Sequence[str], on_answer: OnAnswer | None = None
    ) -> LabelScores:
        """Answer as :meth:`label_logprobs` does, and say which answers are bounds only.

        Parameters
        ----------
        prompts : sequence of str, length n
        labels : sequence of str, length K
        on_answer : callable, optional
            Called with the position of a prompt and its answer, of shape (1, K), so that what was
            answered before a failure is not lost. Prompts are then asked :attr:`prompts_at_once`
            at a time, on any machine the same. An engine whose answers come one by one has a
            method of its own.

        Returns
        -------
        LabelScores
        """
        if on_answer is None:
            return LabelScores(self.label_logprobs(prompts, labels))
        parts: list[FloatArray] = [np.empty((0, len(labels)))]
        for first in range(0, len(prompts), self.prompts_at_once):
            some = prompts[first : first + self.prompts_at_once]
            parts.append(np.asarray(self.label_logprobs(some, labels)))
            for place, row in enumerate(parts[-1], start=first):
                on_answer(place, LabelScores(row[None]))
        return LabelScores(np.concatenate(parts))

    def operations_per_token(self) -> float:
        """Return about how many operations a token costs on this machine; 0 where that is not known."""
        return 0.0

    def facts(self) -> dict[str, Any]:
        """Return what to record beside the answers, deciding none: how they were computed."""
        return {}

    def usage(self) -> dict[str, Any]:
        """Return what answering cost so far: requests, tokens, repetitions.

        It is different each time and is not recorded in a table: facts of the same names are
        omitted there.
        """
        return {}

    def encode(self, texts: Sequence[str]) -> list[list[int]] | None:
        """Token ids of each text as the model reads it, or None where the engine cannot tell.

        Checks of labels and of prompt lengths before a run need it; without it they are omitted.
        """
        return None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return texts as vectors, so that texts that are near say nearly the same.

        Parameters
        ----------
        texts : sequence of str, length n

        Returns
        -------
        float32 array, shape (n, n_dimensions)
            Not scaled to a length; zeros for an empty text.

        Raises
        ------
        EngineError
            The engine has no vectors.
        """
        raise EngineError(
            f"{type(self).__name__} cannot turn texts into vectors",
            parameter="engine",
            received=type(self).__name__,
            fix="use a TransformersEngine, or an OpenAIEngine whose server answers /embeddings",
        )

    def sampled_answers(
        self, asked: Sequence[Asked], sampling: Sampling, on_answers: OnAnswers | None = None
    ) -> list[list[str]]:
        """Draw answers to prompts: what the model writes after each.

        An engine that has this method takes votes. An answer is decided by its prompt, its number and
        ``sampling``, as far as the engine can see to it: not by what else is asked with it.

        Parameters
        ----------
        asked : sequence of Asked, length n
            Prompts, and the numbers of the answers that are wanted of each.
        sampling : Sampling
        on_answers : callable, optional
            Called with the position of a prompt and its answers by their numbers, as they come.

        Returns
        -------
        list of n lists of str
            The answers to each prompt in the order of their numbers, without tokens that end a text.

        Raises
        ------
        EngineError
            The engine samples no answers.
        """
        raise EngineError(
            f"{type(self).__name__} cannot sample answers",
            parameter="engine",
            received=type(self).__name__,
            fix="use a TransformersEngine, VLLMEngine or OpenAIEngine",
        )

    @property
    def samples_answers(self) -> bool:
        """Whether the engine has :meth:`sampled_answers` of its own."""
        return type(self).sampled_answers is not Engine.sampled_answers

    @property
    def sampling_fingerprint(self) -> dict[str, Any]:
        """What decides sampled answers, JSON-able; :attr:`fingerprint` where nothing else is known."""
        return self.fingerprint

    def sampling_facts(self) -> dict[str, Any]:
        """Return what to record beside sampled answers; :meth:`facts` where nothing else is known."""
        return self.facts()

    def versions(self) -> dict[str, str]:
        """Versions of the libraries that compute the answers, to be recorded beside them."""
        return {}

    def __sklearn_clone__(self) -> "Engine":
        """Share the engine between clones of an estimator: a model is not copied."""
        return self


def check_texts(texts: Sequence[str], what: str) -> list[str]:
    """Return ``texts`` as a list of str, or raise.

    Parameters
    ----------
    texts : sequence of str
    what : str
        Name of the parameter, for the message.

    Returns
    -------
    list of str

    Raises
    ------
    ParameterError
        One string is given in place of a sequence, or an item is not a string.

    Examples
    --------
    >>> check_texts(("a", "b"), "prompts")
    ['a', 'b']
    >>> check_texts("ab", "prompts")
    Traceback (most recent call last):
    debias.errors.ParameterError: prompts must be a list of strings, got 'ab'.
    """
    values = check_list(what, texts, "a list of strings")
    for row, text in enumerate(values):
        if not isinstance(text, str):
            raise ParameterError(parameter=f"{what}[{row}]", allowed="a string", received=text)
    return [str(text) for text in values]


def check_pairs(prompts: Sequence[str], continuations: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return prompts and continuations as lists of str, as many of both, or raise ParameterError."""
    prompts, continuations = check_texts(prompts, "prompts"), check_texts(continuations, "continuations")
    if len(prompts) != len(continuations):
        raise ParameterError(
            f"there are {len(prompts)} prompts and {len(continuations)} continuations",
            parameter="continuations",
            received=len(continuations),
            fix="pass one continuation for each prompt",
        )
    return prompts, continuations


def check_label_texts(labels: Sequence[str]) -> list[str]:
    """Return labels as a list of one or more str, none of them empty, or raise ParameterError."""
    values = check_texts(labels, "labels")
    if not values or "" in values:
        raise ParameterError(
            parameter="labels", allowed="a list of one or more texts, none of them empty", received=values
        )
    return values
