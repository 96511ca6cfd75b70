"""Held-out losses that a Trainer logged while it trained, read from its own state beside a checkpoint."""

import json
from pathlib import Path

import pandas as pd

from debias.errors import ResumeError
from iterit.training.saving.checkpoints import checkpoint_step

STATE = "trainer_state.json"
_MOST_BYTES = 1 << 26


def held_out_losses(folder: str | Path) -> pd.DataFrame:
    """Return the held-out losses of a run, as far as its newest state knows them.

    Parameters
    ----------
    folder : str or Path
        Output folder of the run, or one of its checkpoints.

    Returns
    -------
    DataFrame
        step and loss (``eval_loss``), by step; empty where nothing was evaluated.

    Raises
    ------
    ResumeError
        The state is damaged.

    Examples
    --------
    >>> len(held_out_losses("no/such/run"))
    0
    """
    where = Path(folder)
    found = sorted(where.glob(f"checkpoint-*/{STATE}"), key=lambda path: checkpoint_step(path.parent))
    path = next((one for one in (where / STATE, *reversed(found)) if one.is_file()), None)
    rows: list[tuple[int, float]] = []
    if path is not None:
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError("it is too large")
            for entry in json.loads(path.read_bytes())["log_history"]:
                if "eval_loss" in entry:
                    rows.append((int(entry["step"]), float(entry["eval_loss"])))
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            raise ResumeError(f"it is damaged: {str(error)[:200]}", file=path) from error
    frame = pd.DataFrame(rows, columns=["step", "loss"]).astype({"step": "int64", "loss": "float64"})
    return frame.drop_duplicates("step", keep="last").sort_values("step", ignore_index=True)
