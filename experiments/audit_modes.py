"""Compares every mode with random records of the same lengths: by loss, and by accuracy and COBias of a task.

Run it from the repository root (about two hours on two cores; rerun it to resume):

    python experiments/audit_modes.py ../shared/data/instructions

Two pools: instructions (Alpaca and Dolly), and instructions with rows of TREC, AG News and SST-5, where
the query of the targeted modes is 40 labelled questions of TREC. Without the folder the project's own
instructions stand in for Alpaca and Dolly. Every mode picks within strata of answer tokens, so that all
share the random draws. On the second pool each trained model also classifies rows of TREC, before and
after a correction that is fitted on its own probabilities of 60 labelled rows. Writes
experiments/results/audit_modes.md, audit_modes_instructions.csv, audit_modes_tasks.csv, audit_modes_task.csv
and audit_modes_datamodel.csv.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from common import RESULTS, machine, markdown, settings_of

from debias.estimators.debiasers import EnsembleDebiaser
from debias.inference.texts.sources import load_split
from debias.inference.texts.tasks import Task, load_task
from debias.inference.transformers.transformers_engine import TransformersEngine
from debias.metrics.scores import cobias
from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.records.instruction_records import Records, read_records
from iterit.records.planting.planted_pool import PlantingSettings, plant
from iterit.reports.audit_report import AuditReport
from iterit.reports.audit_verdict import verdict_of
from iterit.rounds.round_state import n_picks_of
from iterit.scoring.answer_losses import answer_losses
from iterit.scoring.complexity import score_complexity
from iterit.scoring.loss_drop import loss_drop
from iterit.scoring.representations import query_similarities, record_vectors
from iterit.selection.selection import select
from iterit.training.audits.audit_settings import AuditSettings
from iterit.training.audits.picks_audit import audit, within_budget
from iterit.training.audits.planted_picks import planted_scores, planted_shares
from iterit.training.audits.subset_runs import SubsetRuns
from iterit.training.queries.query_steps import trained_on
from iterit.training.setup.trainer_setup import trainable_folder
from iterit.training.setup.training_settings import TrainingSettings

OWN = RESULTS.parents[1] / "data" / "instructions.jsonl"
ANY = ", any length"
FILES = {"alpaca": "alpaca_52k.jsonl.gz", "dolly": "dolly_3k.json"}


def asked(task: Task, text: str, label: str) -> dict:
    """Return a row of a task as an instruction."""
    return {
        "question": task.prompt(text, []).strip(),
        "answer": task.labels[task.class_index(label)],
        "source": task.name,
    }


class Source:
    """Rows of a file or task, each used once."""

    def __init__(self, name: str, folder: Path | None, seed: int) -> None:
        if name in FILES:
            records = read_records(OWN if folder is None else folder / FILES[name], limit=None)
            order = np.random.default_rng([seed, len(name)]).permutation(len(records))
            self.rows = [{**records.original(int(row)), "source": name} for row in order[:4000]]
        else:
            task, split = load_task(name), load_split(load_task(name), "opt", seed=seed)
            order = np.random.default_rng([seed, len(name)]).permutation(len(split.texts))
            self.rows = [asked(task, split.texts[row], split.labels[row]) for row in order[:4000]]

    def take(self, n: int) -> list[dict]:
        """Return rows that were not taken before."""
        taken, self.rows = self.rows[:n], self.rows[n:]
        return taken


def records_of(rows: list[dict]) -> Records:
    """Make records that keep their sources."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return read_records(path, source_field="source")


class Pool:
    """A pool with its held-out records, its query, and the picks of every mode."""

    def __init__(self, name: str, folder: Path | None, work: Path, settings: dict) -> None:
        self.name, self.settings, self.work = name, settings, work / name
        self.work.mkdir(parents=True, exist_ok=True)
        shares = settings["pools"][name]
        sources = {one: Source(one, folder, settings["seed"]) for one in shares}

        def drawn(n: int) -> Records:
            return records_of(
                [row for one, share in shares.items() for row in sources[one].take(round(share * n))]
            )

        self.records = drawn(settings["n_records"])
        self.held_out, self.learnt = drawn(settings["n_held_out"]), drawn(settings["n_trained_held_out"])
        of_task = name == "tasks"
        self.query = (
            records_of(sources["trec"].take(settings["n_query"])) if of_task else drawn(settings["n_query"])
        )
        self.measures = {"task": self.classify} if of_task else {}
        self.model = trainable_folder("demo", work)
        self.training = replace(TrainingSettings(rounds=1), **settings["training"])
        self.runs = self.runs_of(self.records, self.measures)

    def runs_of(self, records: Records, measures: dict | None = None) -> SubsetRuns:
        """Return what trains subsets of some records."""
        return SubsetRuns(
            records, self.held_out, self.model, self.training, self.work / "subsets",
            max_tokens=self.settings["max_tokens"], measures=measures,
        )  # fmt: skip

    @cached_property
    def engine(self) -> TransformersEngine:
        """The untrained model."""
        return TransformersEngine(str(self.model), dtype="float32")

    @property
    def limits(self) -> dict:
        """How records are scored."""
        limit = self.settings["max_tokens"]
        return {"template": self.runs.template, "max_tokens": limit, "cache": self.work / "scores"}

    @cached_property
    def scores(self) -> pd.DataFrame:
        """IFD of every record."""
        return score_complexity(self.records, self.engine, **self.limits)

    def values(self, mode: str) -> dict:
        """Return what a mode needs beside IFD and n-grams, for :func:`select`."""
        if mode == "representation":
            limit = self.settings["max_tokens"]
            own = [
                record_vectors(one, self.engine, template=self.runs.template, max_tokens=limit)
                for one in (self.records, self.query)
            ]
            return {"similarities": query_similarities(*own)}
        if mode not in ("influence", "learnable"):
            return {}
        if mode == "influence":
            engine = trained_on(
                self.engine, self.query, template=self.runs.template, max_tokens=self.settings["max_tokens"]
            ).engine
        else:
            learnt = self.runs_of(self.learnt)
            engine = learnt.engine_after(learnt.usable, self.settings["seed"])
        after = answer_losses(self.records, engine, **self.limits)
        return {"values": loss_drop(self.scores, after)["value"].to_numpy()}

    def picks(self) -> dict[str, np.ndarray]:
        """Return the rows that each mode picks; kept, since scores take minutes."""
        kept = self.work / "picks.json"
        if kept.exists():
            return {name: np.array(rows) for name, rows in json.loads(kept.read_text()).items()}
        counts, k = (
            count_ngrams(self.records.responses),
            n_picks_of(self.settings["ratio"], len(self.records)),
        )
        found = {}
        for mode in dict.fromkeys([*self.settings["matched"], *self.settings["unmatched"]]):
            given = {"lengths": self.runs.answer_tokens, **self.values(mode)}
            complexity = None if "similarities" in given or "values" in given else self.scores
            for is_matched in (True, False):
                if mode in self.settings["matched" if is_matched else "unmatched"]:
                    chosen = select(complexity, counts, k, mode=mode, match_length=is_matched, **given)
                    found[mode if is_matched else f"{mode}{ANY}"] = chosen.rows
        kept.write_text(json.dumps({name: rows.tolist() for name, rows in found.items()}))
        return found

    def draws(self, how: AuditSettings, picks: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Return the random records of each seed that all matched modes are compared with."""
        lengths, k = self.runs.answer_tokens, len(next(iter(picks.values())))
        found = []
        for seed in range(how.n_seeds):
            chance = select(
                None, None, k, mode="random", match_length=True, lengths=lengths, seed=1000 + seed
            ).rows
            found.append(within_budget(chance, lengths, how.answer_tokens, np.random.default_rng([seed, 5])))
        return found

    @cached_property
    def task_rows(self) -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
        """Prompts of the rows that a correction is fitted on and of test rows, with their labels."""
        one, task = self.settings["task"], load_task(self.settings["task"]["name"])
        known = {
            record.messages[0].content
            for part in (self.records, self.query, self.held_out)
            for record in part
        }
        train, test = (load_split(task, split, seed=self.settings["seed"]) for split in ("opt", "test"))
        opt = [
            row
            for row, text in enumerate(train.texts)
            if asked(task, text, task.class_names[0])["question"] not in known
        ]
        opt = np.random.default_rng(self.settings["seed"]).permutation(opt)[: one["n_opt"]]
        rows = np.random.default_rng(self.settings["seed"]).permutation(len(test.texts))[: one["n_test"]]

        def prompts(split: object, chosen: np.ndarray) -> list[str]:
            records = Records.from_rows([asked(task, split.texts[row], split.labels[row]) for row in chosen])
            return [self.runs.template.turns(record)[0].prompt for record in records]

        return (
            prompts(train, opt), np.array([task.class_index(train.labels[row]) for row in opt]),
            prompts(test, rows), np.array([task.class_index(test.labels[row]) for row in rows]),
        )  # fmt: skip

    def classify(self, engine: TransformersEngine) -> pd.DataFrame:
        """Return the probabilities of the task's labels for opt rows and test rows."""
        task = load_task(self.settings["task"]["name"])
        opt, opt_labels, test, test_labels = self.task_rows
        logprobs = engine.label_logprobs([*opt, *test], list(task.labels))
        logprobs = np.asarray(logprobs, dtype=np.float64)
        probabilities = np.exp(logprobs - logprobs.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        table = pd.DataFrame(probabilities, columns=[f"p{column}" for column in range(len(task.labels))])
        return table.assign(
            label=np.concatenate([opt_labels, test_labels]).astype(int),
            part=["opt"] * len(opt) + ["test"] * len(test),
        )


def task_scores(table: pd.DataFrame) -> dict[str, float]:
    """Return accuracy and COBias of a trained model on test rows, before and after a correction."""
    names = [name for name in table.columns if name.startswith("p") and name != "part"]
    opt, test = table[table["part"] == "opt"], table[table["part"] == "test"]
    truth = test["label"].to_numpy()
    plain = test[names].to_numpy().argmax(axis=1)
    known = np.unique(opt["label"])
    corrected = EnsembleDebiaser(classes=list(range(len(names)))).fit(
        opt[names].to_numpy(), opt["label"].to_numpy()
    )
    after = corrected.predict(test[names].to_numpy())
    return {
        "accuracy": float((plain == truth).mean()), "cobias": float(cobias(truth, plain)),
        "accuracy_corrected": float((after == truth).mean()), "cobias_corrected": float(cobias(truth, after)),
        "n_opt_classes": len(known),
    }  # fmt: skip


def main() -> None:
    """Score, pick, train, measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="folder with Alpaca and Dolly")
    parser.add_argument(
        "--work", type=Path, default=Path("audit-modes-work"), help="what is done is kept here"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument(
        "--parts",
        nargs="*",
        default=["instructions", "tasks", "planted", "datamodel"],
        help="none: only write what is done",
    )
    parser.add_argument("--seeds", type=int, help="report the first seeds, where not all are done")
    parser.add_argument("--tiny", action="store_true", help="a few records, as a smoke test")
    options = parser.parse_args()
    settings = settings_of(__file__)
    if options.tiny:
        settings |= settings["tiny"]
    settings["n_seeds"] = options.seeds or settings["n_seeds"]
    warnings.simplefilter("ignore", UserWarning)
    made: dict[str, Callable[[], str]] = {
        "instructions": lambda: compared("instructions", options, settings),
        "tasks": lambda: compared("tasks", options, settings),
        "planted": lambda: planted(options, settings),
        "datamodel": lambda: datamodel(options, settings),
    }
    pages = options.work / "pages"
    pages.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        (pages / f"{part}.md").write_text(made[part](), encoding="utf-8")
    intro = (
        "# Modes against random records of the same lengths\n\nSmolLM2-135M-Instruct with LoRA;"
        f" {settings['n_records']} records a pool, {settings['n_seeds']} seeds, at most"
        f" {settings['answer_tokens']:,} answer tokens a run, {settings['n_held_out']} held-out records."
        f" {machine('torch', 'transformers')} in the last call: runs are kept, and not repeated.\n"
    )
    done = [part for part in made if (pages / f"{part}.md").exists()]
    left = [part for part in made if part not in done]
    intro += f"\nParts that were not run yet: {', '.join(left)}.\n" if left else ""
    parts = [(pages / f"{part}.md").read_text() for part in done]
    (options.out / "audit_modes.md").write_text("\n".join([intro, *parts]), encoding="utf-8")


def audited(pool: Pool, settings: dict, **more: object) -> AuditSettings:
    """Return the settings of an audit."""
    return AuditSettings(
        n_seeds=settings["n_seeds"], answer_tokens=settings["answer_tokens"], n_more_random=0,
        seed=settings["seed"], **more,
    )  # fmt: skip


def compared(name: str, options: argparse.Namespace, settings: dict) -> str:
    """Audit every mode on one pool."""
    pool = Pool(name, options.folder, options.work, settings)
    picks, how = pool.picks(), audited(pool, settings)
    matched = {one: rows for one, rows in picks.items() if not one.endswith(ANY)}
    free = {one: rows for one, rows in picks.items() if one.endswith(ANY)}
    drawn = pool.draws(how, matched)
    done = [audit(pool.runs, matched, drawn=drawn, settings=how)]
    done += [audit(pool.runs, free, settings=how)] if free else []
    lines = [f"\n## Pool: {name}\n"]
    lines += [
        f"- {verdict_of(result, one)}" for result in done for one in dict.fromkeys(result.gains["picks"])
    ]
    for place in range(3):
        sections = [AuditReport(result).sections()[place] for result in done]
        rows = [row for section in sections for row in section.rows]
        table = pd.DataFrame(rows, columns=sections[0].header).drop_duplicates()
        lines += ["", f"### {sections[0].heading}\n", sections[0].note, "", markdown(table)]
    lines.append("")
    losses = pd.concat([result.losses for result in done]).drop_duplicates()
    losses.assign(pool=name).to_csv(options.out / f"audit_modes_{name}.csv", index=False)
    if "task" in pool.measures:
        rows = [
            {"picks": one, "way": way, "seed": seed, **task_scores(run.more["task"])}
            for result in done
            for (one, way, seed), run in result.runs.items()
        ]
        table = pd.DataFrame(rows).drop_duplicates()
        table.to_csv(options.out / "audit_modes_task.csv", index=False)
        lines += task_lines(table, settings)
    return "\n".join(lines)


def task_lines(table: pd.DataFrame, settings: dict) -> list[str]:
    """Write accuracy and COBias of each mode, and what it gains over its random draws."""
    columns = ["accuracy", "cobias", "accuracy_corrected", "cobias_corrected"]
    rows = []
    for (name, way), own in table.groupby(["picks", "way"], sort=False):
        row: dict[str, object] = {"trained on": name or way, "way": way}
        for column in columns:
            mean = own[column].mean()
            row[column] = (
                f"{100 * mean:.1f} ± {100 * own[column].std():.1f}" if len(own) > 1 else f"{100 * mean:.1f}"
            )
        if way == "picks":
            drawn = table[(table["picks"] == name) & (table["way"] == "random")].set_index("seed")
            for column in columns[:2]:
                gap = own.set_index("seed")[column] - drawn[column]
                half = 2.776 * gap.std() / np.sqrt(len(gap)) if len(gap) == 5 else np.nan  # t, 4 degrees
                row[f"{column} against random"] = f"{100 * gap.mean():+.1f} ± {100 * half:.1f}"
        rows.append(row)
    note = (
        f"{settings['task']['n_test']} test rows of {settings['task']['name']}, in per cent; corrected by the"
        f" ensemble fitted on the model's own probabilities of {settings['task']['n_opt']} labelled rows."
        " Means and standard deviations over seeds; differences with 95 % t intervals over seeds."
    )
    return ["### Accuracy and COBias of the task\n", note, "", markdown(pd.DataFrame(rows).fillna("")), ""]


def planted(options: argparse.Namespace, settings: dict) -> str:
    """Show which modes take planted records."""
    pool = Pool("instructions", options.folder, options.work, settings)
    copy = plant(pool.records, PlantingSettings(seed=settings["seed"]))
    scores = score_complexity(copy.records, pool.engine, **pool.limits)
    counts, k = count_ngrams(copy.records.responses), n_picks_of(settings["ratio"], len(copy.records))
    lengths = scores["n_tokens"].to_numpy()
    picks = {}
    for mode in settings["planted"]["modes"]:
        for is_matched in (False, True):
            chosen = select(scores, counts, k, mode=mode, match_length=is_matched, lengths=lengths)
            picks[f"{mode}, same lengths" if is_matched else mode] = chosen.rows
    shares = planted_shares(copy, picks).map(
        lambda one: one if isinstance(one, int) else f"{100 * one:.1f} %"
    )
    hard = planted_scores(copy, scores).round(3)
    return "\n".join(["\n## Planted records\n", markdown(shares), "", markdown(hard), ""])


def datamodel(options: argparse.Namespace, settings: dict) -> str:
    """Measure how well scores predict what random subsets teach."""
    own = settings["datamodel"]
    training = settings["training"] | {"bf16": own["bf16"]}
    pool = Pool("instructions", options.folder, options.work, settings | {"training": training})
    ifd = pool.scores["ifd"].to_numpy(dtype=np.float64)
    sums = weigh(count_ngrams(pool.records.responses)).sums()
    scores = {
        "IFD": ifd, "IFD * n-gram weights": ifd * sums, "loss": pool.scores["conditional"].to_numpy(),
        "n-gram weights": sums, "answer tokens": pool.runs.answer_tokens.astype(float),
        "influence": pool.values("influence")["values"], "learnable": pool.values("learnable")["values"],
        "representation (mean similarity)": pool.values("representation")["similarities"].mean(axis=1),
    }  # fmt: skip
    more = {name: own[name] for name in ("n_subsets", "subset_size")}
    first = {"random": np.arange(20)}
    how = replace(audited(pool, settings, **more), n_seeds=2, answer_tokens=1)
    result = audit(pool.runs, first, scores=scores, settings=how)
    result.datamodel.to_csv(options.out / "audit_modes_datamodel.csv", index=False)
    note = (
        f"{more['n_subsets']} random subsets of {more['subset_size']} records, trained in"
        f" {'mixed precision' if own['bf16'] else 'float32'}; Spearman with a bootstrap interval."
    )
    return "\n".join(
        ["\n## Do scores predict what is learnt?\n", note, "", markdown(result.datamodel.round(3)), ""]
    )


if __name__ == "__main__":
    main()
