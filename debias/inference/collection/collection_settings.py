"""How a table is collected: one object in Python, on the command line and in the saved file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from debias.settings import Settings, setting


@dataclass(frozen=True)
class CollectionSettings(Settings):
    """How a table is collected.

    Parameters
    ----------
    too_long : {"error", "truncate"}, default="error"
        What happens to prompts longer than the context: an error that names the rows, or the text
        (never the demonstrations, the question or the label) is shortened.
    low_mass : float, default=0.5
        Rows whose labels together got less probability than this are counted in the metadata.
    chunk_size : int, default=256
        Prompts between two savings; a run that is resumed keeps its own.
    seed : int, optional
        The seed the demonstrations were drawn with, recorded in the metadata.
    metadata : mapping, optional
        JSON-able facts to record beside those that are recorded anyway.
    reuse : sequence of path-like
        Other runs whose answers are used: their tables, their folders, or the folder they are in.
    keep : bool, default=True
        Whether the folder of the run stays when the table is written.
    progress : bool or str, default=True
        Whether to show a progress bar on the error stream; a string is its title.
    """

    too_long: str = setting(
        "error", "Prompts longer than the context: stop, or shorten the text.", one_of=("error", "truncate")
    )
    low_mass: float = setting(0.5, "Count rows whose labels got less probability than this.", least=0, most=1)
    chunk_size: int = setting(256, "Prompts between two savings.", least=1)
    seed: int | None = setting(None, "The seed that the demonstrations were drawn with.")
    metadata: Mapping[str, Any] | None = setting(None, "Facts to record.")
    reuse: Any = setting((), "A table, or a folder of tables, whose answers are used too.")
    keep: bool = setting(True, "Keep the folder of answers (OUT.run): other runs use them.")
    progress: bool | str = setting(True, "Show a progress bar.")
