"""Counts the files of the project that one warm call enters, that is, runs a Python function of.

python experiments/files_entered.py
"""

import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def files_entered(call: Callable[[], object]) -> list[str]:
    """Return the files of the packages in which a function is entered, threads included."""
    entered: set[str] = set()

    def note(frame: object, event: str, argument: object) -> None:
        name = frame.f_code.co_filename  # type: ignore[attr-defined]
        if event == "call" and frame.f_code.co_name != "<module>":  # type: ignore[attr-defined]
            entered.add(name)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    ours = [Path(name) for name in entered if Path(name).is_relative_to(ROOT)]
    return sorted(
        str(path.relative_to(ROOT)) for path in ours if path.parts[len(ROOT.parts)] in ("debias", "iterit")
    )


def main() -> None:
    """Count for a fit, a prediction and a collection."""
    from debias import Engine, EnsembleDebiaser, collect

    class Even(Engine):
        """An engine to which every continuation is equally likely."""

        context_length, fingerprint = 100, {"model": "even"}  # noqa: RUF012

        def continuation_logprobs(self, prompts: object, continuations: list[str]) -> list[np.ndarray]:
            return [np.log([0.25]) for _ in continuations]

    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    X = rng.dirichlet(np.ones(3), 600) + 0.3 * np.eye(3)[y] + [0.4, 0, 0]
    X /= X.sum(axis=1, keepdims=True)
    debiaser = EnsembleDebiaser(n_jobs=1).fit(X, y)
    engine = Even()
    texts = ["Stocks fell sharply.", "The striker scored twice.", "A new chip was shown.", "Talks failed."]
    folder = Path(tempfile.mkdtemp())
    out = iter(range(10))

    def ask() -> object:
        return collect(engine, "agnews", texts, out=folder / f"{next(out)}.parquet", progress=False)

    ask()
    for name, call in {
        "fit": lambda: EnsembleDebiaser(n_jobs=1).fit(X, y),
        "predict": lambda: debiaser.predict(X),
        "collect": ask,
    }.items():
        files = files_entered(call)
        print(f"{name}: {len(files)} files")
        print("".join(f"  {file}\n" for file in files), end="")


if __name__ == "__main__":
    main()
