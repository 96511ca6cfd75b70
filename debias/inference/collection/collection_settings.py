"""Settings of a collection: one object in Python, on the command line and in the saved file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from debias.errors import ParameterError, param
from debias.inference.collection.shards.shard import Shard
from debias.inference.votes.vote_settings import VoteSettings
from debias.settings import Settings, setting

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class CollectionKeywords(TypedDict, total=False):
    """The fields of :class:`CollectionSettings` as keywords."""

    too_long: str
    low_mass: float
    chunk_size: int
    seed: int | None
    metadata: Mapping[str, object] | None
    reuse: Paths
    keep: bool
    progress: bool | str
    shard: str | tuple[int, int] | None
    votes: VoteSettings | int | None


@dataclass(frozen=True)
class CollectionSettings(Settings):
    """How a table is collected.

    Parameters
    ----------
    too_long : {"error", "truncate"}, default="error"
        What happens to prompts longer than the context: an error with the row, or the text
        (never the demonstrations, the question or the label) is shortened.
    low_mass : float, default=0.5
        Rows whose labels together got less probability than this are counted in the metadata.
    chunk_size : int, default=256
        Prompts between two savings; a run that is resumed keeps its own.
    seed : int, optional
        The seed the demonstrations were drawn with, recorded in the metadata.
    metadata : mapping, optional
        JSON-able facts to record beside those that are recorded anyway.
    reuse : path-like, or sequence of path-like, default=()
        Other runs whose answers are used, wherever they are: their tables, their folders, or
        folders that hold these.
    keep : bool, default=True
        Whether the folder of the run stays when the table is written: some 100 bytes per prompt,
        which other runs use.
    progress : bool or str, default=True
        Whether to show a progress bar on the error stream; a string is its title.
    shard : str or (int, int), optional
        Collect one part of several, such as "2/4" or (2, 4): see
        :func:`~debias.inference.collection.shards.merging.merge`. Answers of other runs are not used.
    votes : int or VoteSettings, optional
        How many sampled answers stand for the probabilities of a row, for models that return none;
        None asks for probabilities.

    Raises
    ------
    ParameterError
        A value is not allowed, or `shard` is given with `reuse` or with `votes`.

    Examples
    --------
    >>> CollectionSettings.of(chunk_size=0)
    Traceback (most recent call last):
    debias.errors.ParameterError: chunk_size must be a positive integer, got 0.
    """

    too_long: str = setting(
        "error",
        "If a prompt is longer than the context: raise an error, or truncate the text.",
        one_of=("error", "truncate"),
    )
    low_mass: float = setting(
        0.5, "Count the rows whose labels got less probability than this.", least=0, most=1
    )
    chunk_size: int = setting(256, "Number of prompts answered between two saves.", least=1)
    seed: int | None = setting(None, "The seed that the demonstrations were drawn with.")
    metadata: Mapping[str, object] | None = setting(None, "Facts to record.")
    reuse: Paths = setting((), "A table, or a folder of tables, whose answers are reused.")
    keep: bool = setting(True, "Keep the folder of answers (OUT.run), which other runs can reuse.")
    progress: bool | str = setting(True, "Show a progress bar.")
    shard: str | tuple[int, int] | None = setting(None, "Collect one part of several.")
    votes: VoteSettings | int | None = setting(None, "Collect sampled answers.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part is not None and self.reuse:
            raise ParameterError(
                f"{param('shard')} cannot be combined with {param('reuse')}: given other answers, a shard "
                "would not batch the same prompts as a single run",
                parameter="reuse",
                received=self.reuse,
                fix=f"omit {param('reuse')}",
            )
        if self.part is not None and self.votes is not None:
            raise ParameterError(
                f"{param('shard')} cannot be combined with {param('votes')}: a shard contains probabilities",
                parameter="votes",
                received=self.votes,
                fix=f"omit {param('shard')}, and split the rows yourself",
            )

    @property
    def part(self) -> Shard | None:
        """The part that is collected; None for all."""
        return None if self.shard is None else Shard.of(self.shard)
