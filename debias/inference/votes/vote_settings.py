"""Settings of votes: how many answers, from what, and how they become probabilities."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from debias.errors import ParameterError, param
from debias.inference.votes.sampling import Sampling
from debias.settings import Settings, setting

MATCHINGS = ("exact", "first-line", "normalised", "beginning")
"""How an answer may match a label; each allows what those before it allow."""

DEFAULT_TOKENS = 16
"""Tokens of an answer where the labels' tokens are not known."""

TOKENS_MORE = 2
"""Tokens beyond those of the longest label: enough to see whether its last word ends there."""

_PANEL = "Votes, where a model returns no probabilities"


@dataclass(frozen=True)
class VoteSettings(Settings):
    """How sampled answers become probabilities.

    Parameters
    ----------
    votes : int, optional
        Answers for each prompt. None: no votes, probabilities are asked for.
    vote_by : {"samples", "orders"}, default="samples"
        Whether one prompt is answered several times, or several prompts once: the same
        demonstrations, and names of labels in the instruction, in other orders.
    temperature : float, optional
        What logits are divided by; 1 by default for samples, 0 for orders.
    vote_seed : int, default=0
        Seed of the answers or of the orders.
    answer_tokens : int, optional
        Tokens of an answer, at most. By default those of the longest label and 2, or 16 where the
        labels' tokens are not known.
    matching : {"beginning", "normalised", "first-line", "exact"}, default="beginning"
        When an answer is a vote for a label; see :mod:`debias.inference.votes.answer_matching`.
    smoothing : float, default=0.5
        Votes that each class has before any is counted: the parameter of a symmetric Dirichlet
        distribution.

    Raises
    ------
    ParameterError
        A value is not allowed, or something of votes is set without them.

    Examples
    --------
    >>> VoteSettings(votes=8).kept_temperature
    1.0
    >>> VoteSettings(votes=8, temperature=0.0)
    Traceback (most recent call last):
    debias.errors.ParameterError: temperature=0.0 gives the same answer 8 times; pass ...
    >>> VoteSettings(matching="exact")
    Traceback (most recent call last):
    debias.errors.ParameterError: matching only applies to votes; pass votes=8 or omit it.
    """

    votes: int | None = setting(
        None,
        "Collect this many sampled answers per row instead of probabilities.",
        least=1,
        most=1024,
        panel=_PANEL,
    )
    vote_by: str = setting(
        "samples",
        "samples: the same prompt several times; orders: the demonstrations and the labels in the "
        "instruction in several orders.",
        one_of=("samples", "orders"),
        panel=_PANEL,
    )
    temperature: float | None = setting(
        None,
        "Sampling temperature; by default 1 for samples and 0 for orders.",
        least=0,
        most=100,
        panel=_PANEL,
    )
    vote_seed: int = setting(0, "Random seed of the answers or orders.", least=0, panel=_PANEL)
    answer_tokens: int | None = setting(
        None,
        f"Maximum number of tokens of an answer; by default {TOKENS_MORE} more than the longest label, or "
        f"{DEFAULT_TOKENS} if that is unknown.",
        least=1,
        most=4096,
        panel=_PANEL,
    )
    matching: str = setting(
        "beginning",
        "When an answer counts as a vote: exact: it equals the label; first-line: its first line does; "
        "normalised: its first line does, ignoring case and punctuation; beginning: it begins with the "
        "label.",
        one_of=MATCHINGS,
        panel=_PANEL,
    )
    smoothing: float = setting(
        0.5, "Votes added to each class before counting (Dirichlet prior).", above=0, most=1e6, panel=_PANEL
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.votes is None:
            for one in fields(self):
                if getattr(self, one.name) != one.default:
                    raise ParameterError(
                        f"{param(one.name)} only applies to votes",
                        parameter=one.name,
                        received=getattr(self, one.name),
                        fix=f"pass {param('votes', '8')} or omit it",
                    )
        elif self.vote_by == "samples" and self.votes > 1 and self.temperature == 0:
            raise ParameterError(
                f"{param('temperature', repr(self.temperature))} gives the same answer {self.votes} times",
                parameter="temperature",
                received=self.temperature,
                fix=f"pass a higher one, {param('votes', '1')}, or {param('vote_by', repr('orders'))}",
            )

    @property
    def n_votes(self) -> int:
        """How many answers each row has; 0 where probabilities are asked for."""
        return self.votes or 0

    @property
    def kept_temperature(self) -> float:
        """The temperature, with its default."""
        if self.temperature is not None:
            return float(self.temperature)
        return 1.0 if self.vote_by == "samples" else 0.0

    def sampling(self, label_tokens: int | None) -> Sampling:
        """Return how answers are drawn.

        Parameters
        ----------
        label_tokens : int or None
            Tokens of the longest label, if they are known.

        Examples
        --------
        >>> VoteSettings(votes=8).sampling(3).max_tokens, VoteSettings(votes=8).sampling(None).max_tokens
        (5, 16)
        """
        default = DEFAULT_TOKENS if label_tokens is None else label_tokens + TOKENS_MORE
        return Sampling(
            self.kept_temperature,
            self.answer_tokens or default,
            self.vote_seed,
            first_line=self.matching != "exact",
        )

    def described(self, sampling: Sampling) -> dict[str, Any]:
        """Return all settings with their defaults filled in, JSON-able."""
        known = asdict(self) | {"temperature": sampling.temperature, "answer_tokens": sampling.max_tokens}
        return {"n_votes": known.pop("votes"), **known}


def votes_of(given: "VoteSettings | int | None") -> VoteSettings:
    """Return settings from what users pass: settings, or a number of votes.

    Examples
    --------
    >>> votes_of(4).votes, votes_of(None).votes
    (4, None)
    """
    if isinstance(given, VoteSettings):
        return given
    return VoteSettings(votes=given)
