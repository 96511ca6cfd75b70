"""A scorer of inspect-ai that corrects the first token of an answer, and metrics of class accuracies.

It is named in the entry-point group ``inspect_ai``, and imports inspect-ai: nothing else imports it.
"""

from collections.abc import Mapping
from typing import Any

from debias.errors import EngineError, LabelError, MissingDependencyError, ParameterError, TableError
from debias.serving.harnesses.answer_tokens import AnswerToken, check_top
from debias.serving.harnesses.class_evenness import class_accuracies, cobias_of
from debias.serving.harnesses.label_scores import read_correction
from debias.serving.harnesses.scored_answers import decide_answer, words_of_classes

try:
    from inspect_ai.scorer import (
        CORRECT,
        INCORRECT,
        Metric,
        SampleScore,
        Score,
        Scorer,
        Target,
        accuracy,
        metric,
        scorer,
        value_to_float,
    )
    from inspect_ai.solver import TaskState
except ImportError as error:
    raise MissingDependencyError(
        "the scorer needs inspect-ai", fix="pip install inspect-ai", received="inspect_ai"
    ) from error

_to_float = value_to_float()


def _accuracies(scores: list[SampleScore], class_key: str | None) -> Any:
    """Return class accuracies; the class of a sample is what its scorer or its metadata says."""
    answers = []
    for one in scores:
        held = one.score.metadata if class_key is None else one.sample_metadata
        key = "target" if class_key is None else class_key
        if held is None or key not in held:
            raise ParameterError(
                f"sample {one.sample_id!r} does not state its class",
                parameter="class_key",
                received=class_key,
                allowed="a key that the metadata of every sample has",
                fix="use corrected_answer, or set class_key to the metadata key of a sample that holds its "
                "class",
            )
        answers.append((str(held[key]), _to_float(one.score.value)))
    return class_accuracies(answers)


@metric(name="cobias")
def cobias(class_key: str | None = None) -> Metric:
    """Mean gap between the accuracies of two classes: lower is more even.

    Parameters
    ----------
    class_key : str, optional
        What the class of a sample is called in its metadata, for scores of other scorers than
        ``corrected_answer``.
    """

    def compute(scores: list[SampleScore]) -> float:
        return cobias_of(_accuracies(scores, class_key)) if scores else float("nan")

    return compute


@metric(name="worst_class_accuracy")
def worst_class_accuracy(class_key: str | None = None) -> Metric:
    """Lowest class accuracy.

    Parameters
    ----------
    class_key : str, optional
        As in :func:`cobias`.
    """

    def compute(scores: list[SampleScore]) -> float:
        return float(_accuracies(scores, class_key).min()) if scores else float("nan")

    return compute


@scorer(metrics=[accuracy(), cobias(), worst_class_accuracy()], name="corrected_answer")
def corrected_answer(
    correction: str, words: dict[str, str] | None = None, top: int = 20, corrected: bool = True
) -> Scorer:
    """Score answers by a correction that was saved.

    The model must return log-probabilities: ``GenerateConfig(logprobs=True, top_logprobs=20,
    max_tokens=1)``. The target of a sample is a class. Where a sample has choices, the model is asked for
    their letters, choices are matched to classes by name, sample by sample, and the target is a
    letter. A sample without log-probabilities, or with no label among the tokens, is unscored.

    Parameters
    ----------
    correction : str
        Its file.
    words : dict of str to str, optional
        From classes to the words that answers begin with; a class has its name by default.
    top : int, default=20
        How many log-probabilities are asked for.
    corrected : bool, default=True
        False scores the most probable label, for a comparison.
    """
    check_top(top)
    served = read_correction(correction)
    given = words_of_classes(served.classes, words)

    async def score(state: TaskState, target: Target) -> Score:
        by_class, label = _classes_and_target(state, target.text, given)
        if label not in given:
            raise TableError(
                f"sample {state.sample_id!r} has a target that is not a class of the correction",
                parameter="target",
                received=label,
                allowed=f"one of {list(given)}",
            )
        first = _first_token(state)
        if first is None:
            said = "The model returned no log-probabilities: ask for logprobs=True and top_logprobs."
            return Score.unscored(reason="scoring_failed", explanation=said, metadata={"target": label})
        try:
            answer = decide_answer(served, first[0], by_class, top, first[1])
        except (EngineError, LabelError) as error:
            return Score.unscored(reason="scoring_failed", explanation=str(error), metadata={"target": label})
        details = {"target": label, **answer._asdict()}
        predicted = answer.predicted if corrected else answer.uncorrected
        if predicted is None:
            said = f"None of {list(by_class.values())} is among the most probable tokens."
            return Score.unscored(
                reason="invalid_response_format", answer=first[1], explanation=said, metadata=details
            )
        value = CORRECT if predicted == label else INCORRECT
        return Score(value=value, answer=predicted, metadata=details)

    return score


def _classes_and_target(
    state: TaskState, target: str, words: dict[str, str]
) -> tuple[Mapping[str, str], str]:
    """Return the word of each class in this sample, and the class of its target."""
    if not len(state.choices):
        return words, target
    letters = {chr(ord("A") + place): choice for place, choice in enumerate(state.choices)}
    by_class = {choice.value.strip(): letter for letter, choice in letters.items()}
    positions = {choice.original_position: choice.value.strip() for choice in state.choices}
    if set(by_class) != set(words) or len(by_class) != len(letters):
        raise TableError(
            f"sample {state.sample_id!r} has choices that are not the classes of the correction",
            parameter="choices",
            received=[choice.value for choice in state.choices],
            allowed=f"the classes {list(words)} in any order",
        )
    place = ord(target) - ord("A") if len(target) == 1 else -1
    return by_class, positions.get(place, target)


def _first_token(state: TaskState) -> tuple[list[AnswerToken], str] | None:
    """Return the most probable first tokens and the drawn one; None where there are none."""
    choices = state.output.choices
    content = choices[0].logprobs.content if choices and choices[0].logprobs else []
    if not content or not content[0].top_logprobs:
        return None
    listed = content[0].top_logprobs
    tokens = [
        AnswerToken(one.token, one.logprob, None if one.bytes is None else bytes(one.bytes)) for one in listed
    ]
    return tokens, content[0].token
