"""Audits five files of picks against random records of the same lengths.

Run it from the repository root (an hour on two cores; rerun it to resume):

    python experiments/audit_files.py ../shared/data/instructions

IterIT (published mode), its length_neutral mode, public picks of another IFD selection (3,111 records of
Alpaca, of which those in the drawn pool count), the longest answers, and a random sample. The pool is
drawn from Alpaca by the seed. Writes experiments/results/audit_files.md and .csv.
"""

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import RESULTS, machine, settings_of

from debias.inference.models.loading import load_model
from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.records.instruction_records import Records, read_records
from iterit.records.picks.picks_files import read_picks
from iterit.reports.audit_report import AuditReport
from iterit.rounds.round_state import n_picks_of
from iterit.scoring.complexity import score_complexity
from iterit.selection.selection import select
from iterit.training.audits.audit_settings import AuditSettings
from iterit.training.audits.picks_audit import audit, held_out_of
from iterit.training.audits.subset_runs import SubsetRuns
from iterit.training.setup.trainer_setup import trainable_folder
from iterit.training.setup.training_settings import TrainingSettings

MODES = {
    "IterIT": "published",
    "IterIT, length-neutral": "length_neutral",
    "longest": "longest",
    "random": "random",
}
PUBLIC = "public picks"


def draw(folder: Path, settings: dict) -> tuple[Records, np.ndarray]:
    """Draw a pool from Alpaca; return it with the rows that the public picks have in it."""
    whole = read_records(folder / "alpaca_52k.jsonl.gz")
    public = read_picks(folder / "cherry_alpaca_5_percent.json", whole).rows
    rows = np.sort(np.random.default_rng(settings["seed"]).permutation(len(whole))[: settings["n_records"]])
    return whole.take(rows), np.flatnonzero(np.isin(rows, public))


def main() -> None:
    """Score, pick, audit and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder with alpaca_52k.jsonl.gz and the public picks")
    parser.add_argument(
        "--work", type=Path, default=Path("audit-files-work"), help="what is done is kept here"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--seeds", type=int, help="report the first seeds, where not all are done")
    parser.add_argument("--tiny", action="store_true", help="a few records, as a smoke test")
    options = parser.parse_args()
    settings = settings_of(__file__)
    if options.tiny:
        settings |= settings["tiny"]
    settings["n_seeds"] = options.seeds or settings["n_seeds"]
    warnings.simplefilter("ignore", UserWarning)
    options.work.mkdir(parents=True, exist_ok=True)
    pool, public = draw(options.folder, settings)
    model = trainable_folder("demo", options.work)
    engine = TransformersEngine(*load_model(model, None))
    limit, cache = settings["max_tokens"], options.work / "scores"
    scores = score_complexity(pool, engine, max_tokens=limit, cache=cache)
    counts, k = count_ngrams(pool.responses), n_picks_of(settings["ratio"], len(pool))
    picks = {
        name: select(scores, counts, k, mode=mode, seed=settings["seed"]).rows for name, mode in MODES.items()
    }
    picks[PUBLIC] = public
    apart = held_out_of(pool, picks, settings["n_held_out"], settings["seed"])
    names = ("n_seeds", "answer_tokens", "n_held_out", "n_more_random", "seed")
    audited = AuditSettings(**{name: settings[name] for name in names})
    training = replace(TrainingSettings(rounds=1), **settings["training"])
    runs = SubsetRuns(pool, pool.take(apart), model, training, options.work / "subsets", max_tokens=limit)
    candidates = np.setdiff1d(np.arange(len(pool)), apart)
    result = audit(runs, picks, candidates=candidates, settings=audited)
    report = AuditReport(result, title="Five files of picks, audited")
    text = report.to_markdown().replace(str(options.work / "base"), "demo")
    whole = settings_of(__file__)["n_seeds"]
    seeds = whole if audited.n_seeds == whole else f"the first {audited.n_seeds} of {whole}"
    intro = (
        f"{len(pool):,} records of Alpaca, {k} picks of each tool ({len(public)} public ones),"
        f" {seeds} seeds, SmolLM2-135M-Instruct with LoRA. {machine('torch', 'transformers')}."
    )
    title, rest = text.split("\n", 1)
    (options.out / "audit_files.md").write_text(f"{title}\n\n{intro}\n{rest}", encoding="utf-8")
    result.losses.to_csv(options.out / "audit_files.csv", index=False)
    print(text)


if __name__ == "__main__":
    main()
