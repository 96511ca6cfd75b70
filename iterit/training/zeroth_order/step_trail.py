"""The audit trail of a run without gradients: its steps by round, read from the list that is the run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from debias.inference.zeroth_order.run_log import read_run

RUN_FILE = "forward-only.run"
"""The list of steps, in the folder of a run and in each of its checkpoints."""


def step_trail(folder: str | Path, first_steps: Sequence[int]) -> pd.DataFrame:
    """Return what the steps of each round did.

    Parameters
    ----------
    folder : str or Path
        Of a run, or one of its checkpoints.
    first_steps : sequence of int
        The step at which each round begins.

    Returns
    -------
    DataFrame
        A row for each round: steps, the mean size of their projected gradients, the largest, and the first
        and the last learning rate. Empty where there is no list of steps.

    Raises
    ------
    ResumeError
        The list is damaged.

    Examples
    --------
    >>> step_trail("no/such/run", [0]).empty
    True
    """
    path = Path(folder) / RUN_FILE
    if not path.is_file():
        return pd.DataFrame()
    steps = read_run(path).steps
    found = []
    for number, (start, stop) in enumerate(zip(first_steps, [*first_steps[1:], len(steps)], strict=True)):
        own = steps[start:stop]
        sizes = np.abs([step.projected for step in own])
        if len(own):
            found.append(
                {
                    "round": number,
                    "n_steps": len(own),
                    "mean_size": float(sizes.mean()),
                    "largest": float(sizes.max()),
                    "first_rate": own[0].rate,
                    "last_rate": own[-1].rate,
                }
            )
    return pd.DataFrame(found)
