"""The command line: every documented command run end to end, and every refusal in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import transformers

import debias
from debias.estimators.prediction import predict_table
from debias.estimators.tuning.methods import load
from debias.tables.table import ProbabilityTable
from iterit.cli import app as iterit_app
from tests.support.commands import process, refusal, refused, run, works
from tests.support.paths import HARNESS, ROOT
from tests.support.tiny_models import byte_tokenizer, tiny_model

COMMANDS = ("collect", "fit", "frontier", "apply", "report", "compare", "demo")
TASK = """
labels = ["good", "bad"]
class_names = ["praise", "blame"]
question_prefix = "Review: "
answer_prefix = "Verdict: "
"""


def test_the_documented_way(folder, monkeypatch):
    out = works("fit", "opt.parquet", "--method", "ensemble", "--out", "correction.json").stdout
    debiaser = load("correction.json")
    for sentence in debiaser.explain()["sentence"]:
        assert sentence.split(",")[0] in " ".join(out.split())
    assert " ".join(debiaser.summary().split()) in " ".join(out.split())

    out = works(
        "apply", "test.parquet", "--correction", "correction.json", "--out", "predictions.parquet"
    ).stdout
    test = ProbabilityTable.read("test.parquet")
    predicted = pd.read_parquet("predictions.parquet")
    pd.testing.assert_frame_equal(predicted, predict_table(debiaser, test), check_dtype=False)
    changed = (predicted["prediction"] != predicted["uncorrected"]).sum()
    assert f"{len(test):,} predictions, {changed:,} of them changed" in out

    out = works("report", "test.parquet", "--correction", "correction.json", "--out", "report.html").stdout
    assert "The classes are more even" in out
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!doctype html>")

    monkeypatch.setenv("COLUMNS", "160")  # how wide its figures are decides whether names are wrapped
    out = works("compare", "opt.parquet", "--test", "test.parquet", "--out", "comparison.csv").stdout
    frame = pd.read_csv("comparison.csv", index_col="method")
    for method in frame.index:
        assert method in out
    assert {"uncorrected", "logistic regression", "ensemble (DCS)"} <= set(frame.index)


def test_another_class_mix_is_said(folder):
    works("fit", "opt.parquet", "--n-starts", 2)
    assert "different class mix" not in works("apply", "test.parquet").stdout
    test = ProbabilityTable.read("test.parquet")
    test.take(np.flatnonzero(test.labels == "yes")).write("yes.parquet")
    works("report", "yes.parquet", "--out", "report.md")
    assert "labels have a different class mix" in " ".join(works("apply", "yes.parquet").stdout.split())
    assert "labels have a different class mix" in Path("report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_predictions_in_every_format(folder, suffix):
    works("fit", "opt.parquet", "--n-starts", 2)
    works("apply", "test.parquet", "--out", f"p.{suffix}")
    read = {
        "parquet": pd.read_parquet,
        "csv": lambda p: pd.read_csv(p, dtype=str),
        "jsonl": lambda p: pd.DataFrame(map(json.loads, Path(p).read_text("utf-8").splitlines())),
    }
    frame = read[suffix](f"p.{suffix}")
    assert len(frame) == 200
    assert {"id", "text", "label", "uncorrected", "prediction", "p_no", "p_yes"} == set(frame.columns)
    expected = predict_table(load("correction.json"), ProbabilityTable.read("test.parquet"))
    for name in ("p_no", "p_yes"):
        assert [float(cell) for cell in frame[name]] == expected[name].tolist()


def test_reader_options_have_the_same_names_on_the_command_line(folder):
    expected = load_choice("opt.parquet")
    table = ProbabilityTable.read("opt.parquet")
    table.write("plain.csv", id_column="number", label_column="gold", text_column="said")
    cells = Path("plain.csv").read_text(encoding="utf-8")
    Path("odd.csv").write_text(cells.replace(",", ";").replace(".", ","), encoding="utf-16")
    columns = ("--id-column", "number", "--label-column", "gold", "--text-column", "said")
    cells = ("--encoding", "utf-16", "--delimiter", ";", "--decimal", ",")
    assert load_choice("odd.csv", *columns, *cells) == expected
    frame = table.probabilities.assign(gold=table.labels, number=table.ids, said=table.texts)
    frame.to_json("plain.jsonl", orient="records", lines=True)
    frame.to_parquet("plain.parquet")
    for name in ("plain.jsonl", "plain.parquet"):
        assert load_choice(name, *columns) == expected


def load_choice(*arguments):
    """Return the choice that a fit of a table finds."""
    works("fit", *arguments, "--n-starts", 2, "--out", "c.json")
    return load("c.json").choice_.tolist()


def test_an_error_of_a_reader_names_options_that_are_there(folder):
    (samples,) = HARNESS.glob("samples_toy_stars_*.jsonl")
    Path("samples.jsonl").write_text(
        "".join(samples.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8"
    )
    Path("one.csv").write_text("no yes\n.5 .5\n", "utf-8")
    Path("two.csv").write_text("no;yes\n1,000;1,250\n", "utf-8")
    Path("latin.csv").write_bytes("id,für,yes\na,.5,.5\n".encode("latin-1"))
    Path("answers.jsonl").write_text('{"custom_id": "a", "response": {"body": {"choices": []}}}\n', "utf-8")
    for name, option in {
        "samples.jsonl": "--targets index",
        "one.csv": "--delimiter",
        "two.csv": "--decimal ,",
        "latin.csv": "--encoding",
        "answers.jsonl": "--classes",
    }.items():
        error, line = refusal("fit", name)
        assert option in line
        assert error.file == name
    error, _ = refusal("fit", "opt.parquet", "--delimiter", ";")
    assert error.parameter == "delimiter" and error.file == "opt.parquet"


def test_tables_of_other_formats(folder):
    for name in ("opt", "test"):
        table = ProbabilityTable.read(f"{name}.parquet")
        table.write(f"{name}.csv")
        table.write(f"{name}.txt")
    works("fit", "opt.txt", "--classes", "no,yes", "--out", "a.json")
    works("fit", "opt.csv", "--out", "b.json")
    assert [load(f"{name}.json").choice_.tolist() for name in "ab"] == [load("a.json").choice_.tolist()] * 2
    works("report", "test.txt", "--classes", "no, yes", "--correction", "b.json", "--out", "r.md")
    works("apply", "test.txt", "--format", "text", "--classes", "no,yes", "--correction", "a.json")
    works("compare", "opt.csv", "--test", "test.csv", "--out", "c.md", "--n-starts", "1")
    assert "| ensemble (DCS) | 200 |" in Path("c.md").read_text(encoding="utf-8")


def test_rows_that_do_not_sum_to_one_are_normalised_only_when_asked(folder):
    table = ProbabilityTable.read("opt.parquet")
    ProbabilityTable(table.probabilities / 2, table.labels).write("half.parquet")
    error, line = refusal("fit", "half.parquet")
    assert error.row == 0
    assert "--normalise" in line
    works("fit", "half.parquet", "--normalise", "--n-starts", 1)


def test_a_table_without_labels_asks_for_their_column(folder):
    ProbabilityTable.read("opt.parquet").probabilities.to_csv("new.csv", index=False)
    assert "--label-column NAME" in refused("fit", "new.csv", "--method", "batch")


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ({"--method": "weight", "--n-weights": 50}, "WeightDebiaser", {"n_weights": 50}),
        ({"--method": "fuzzy"}, "FuzzyDebiaser", {}),
        (
            {"--method": "ensemble", "--search": "annealing-3/6", "--seed": 3},
            "EnsembleDebiaser",
            {"search": "annealing-3/6"},
        ),
    ],
)
def test_options_reach_the_estimator(folder, options, name, expected):
    arguments = [part for pair in options.items() for part in pair]
    works("fit", "opt.parquet", *arguments, "--n-starts", 1, "--error", 2, "--cobias", 3, "--pmi", 0)
    debiaser = load("correction.json")
    assert type(debiaser).__name__ == name
    assert debiaser.objective_.used_params() == {"error": 2, "cobias": 3, "pmi": 0, "smoothing": 4000}
    assert {key: getattr(debiaser, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("options", "bounds", "inner"),
    [
        (["--max-cobias", 0.3], {"max_cobias": 0.3}, {"error": 1.0, "pmi": 0.0}),
        (["--min-accuracy", 0.5], {"min_accuracy": 0.5}, {"cobias": 1.0, "pmi": 0.0}),
        (
            ["--min-class-accuracy", 0.4, "--error", 1],
            {"min_class_accuracy": 0.4},
            {"cobias": 1.0, "pmi": 0.2},
        ),
        (["--max-cobias", 0.3, "--pmi", 0], {"max_cobias": 0.3}, {"cobias": 1.0, "pmi": 0.0}),
    ],
)
def test_bounds_reach_the_estimator(folder, options, bounds, inner):
    works("fit", "opt.parquet", *options, "--n-starts", 1)
    objective = load("correction.json").objective_
    nothing = dict.fromkeys(objective.get_params(deep=False)) | {"margin": 0.0}
    assert objective.get_params(deep=False) == nothing | bounds | {"objective": objective.inner}
    assert {name: getattr(objective.inner, name) for name in inner} == inner


def test_no_less_accurate_than_the_uncorrected_model(folder):
    out = works("fit", "opt.parquet", "--min-accuracy", "uncorrected").stdout
    opt = ProbabilityTable.read("opt.parquet")
    before = (opt.probabilities.idxmax(axis=1) == opt.labels).mean()
    assert load("correction.json").objective_.min_accuracy == pytest.approx(before)
    assert "the uncorrected model does too" in " ".join(out.split())


def test_bounds_that_cannot_be_kept_are_said(folder):
    result = run("fit", "opt.parquet", "--max-cobias", "0", "--min-accuracy", "0.99")
    assert result.exit_code == 3
    assert "no choice of corrections satisfies all bounds" in result.stderr
    out = " ".join(result.stdout.split())
    assert "OUT OF BOUNDS" in out
    assert str(load("correction.json").objective_value_)[:5] not in out
    result = works("report", "test.parquet", "--n-resamples", 10)
    assert "OUT OF BOUNDS" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-cobias", 10], "--max-cobias"),
        (["--min-accuracy", "before"], "'before'"),
        (["--min-class-accuracy", -1], "--min-class-accuracy"),
        (["--max-cobias", 0.1, "--error", 5000], "divide"),
    ],
)
def test_bounds_that_are_none_are_refused(folder, options, message):
    assert message in refused("fit", "opt.parquet", *options)


def test_nothing_better_than_the_identity_is_said(folder):
    ProbabilityTable([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]], [0, 0, 1, 1]).write("good.parquet")
    assert "Nothing was changed" in " ".join(works("fit", "good.parquet").stdout.split())


def test_markup_in_class_names_is_printed_as_it_is(folder):
    table = ProbabilityTable.read("opt.parquet")
    ProbabilityTable(table.to_numpy(), table.label_indices, classes=["[red]no", ":smile:"]).write(
        "odd.parquet"
    )
    out = works("fit", "odd.parquet", "--n-starts", 1).stdout
    assert "[red]no" in out
    assert ":smile:" in out


def test_reports_warn_of_rows_the_correction_has_seen(folder):
    works("fit", "opt.parquet", "--n-starts", 1)
    assert works("report", "opt.parquet").stderr.startswith("warning: ")
    table = ProbabilityTable.read("opt.parquet")
    table.take(slice(0, 50)).write("some.parquet")
    warned = works("report", "some.parquet", "--fitted-on", "opt.parquet", "--out", "some.html").stderr
    assert "share 50 of the 200 opt rows" in warned
    assert "share 50 of the 200 opt rows" in Path("some.html").read_text(encoding="utf-8")
    assert works("report", "test.parquet", "--fitted-on", "opt.parquet").stderr == ""


def test_warnings_are_one_line(folder):
    values = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]] * 10)
    ProbabilityTable(values, [0, 1] * 10, classes=["a", "b", "c"]).write("gap.parquet")
    result = works("fit", "gap.parquet", "--n-starts", 1)
    (warned,) = (line for line in result.stderr.splitlines() if not line.startswith("debias: "))
    assert warned.startswith("warning: no labelled row of c")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "absent.parquet"], "absent.parquet"),
        (["fit", "damaged.parquet"], "damaged.parquet"),
        (["fit", "unlabelled.parquet"], "labels"),
        (["fit", "opt.parquet", "--classes", "a,b"], "classes"),
        (["fit", "opt.parquet", "--n-weights", "0"], "--n-weights"),
        (["fit", "opt.parquet", "--n-starts", "0"], "--n-starts must be a positive integer, got 0."),
        (["fit", "opt.parquet", "--method", "magic"], "magic"),
        (["fit", "opt.parquet", "--search", "magic"], "magic"),
        (["fit", "opt.parquet", "--out", "correction.txt"], "--out"),
        (["fit", "opt.parquet", "--out", "nowhere/correction.json"], "'nowhere'"),
        (["fit", "opt.parquet", "--no-such-option"], "--no-such-option"),
        (["fit"], "TABLE"),
        (["no-such-command"], "no-such-command"),
        (["apply", "test.parquet", "--correction", "absent.json"], "absent.json"),
        (["apply", "test.parquet", "--correction", "opt.parquet"], "opt.parquet"),
        (["apply", "other.parquet"], "'perhaps'"),
        (["apply", "test.parquet", "--out", "p.xlsx"], ".parquet or .csv or .jsonl"),
        (["report", "test.parquet", "--out", "r.pdf"], ".html or .md"),
        (["report", "test.parquet", "--out", "folder.html"], "folder.html"),
        (["report", "unlabelled.parquet"], "labels"),
        (["report", "test.parquet", "--level", "2"], "--level"),
        (["compare", "opt.parquet", "--test", "opt.parquet"], "200"),
        (["compare", "opt.parquet", "--test", "other.parquet"], "classes"),
        (["compare", "opt.parquet"], "--test"),
        (["collect", "no-such-task"], "'no-such-task'"),
        (["collect", "agnews", "--out", "x.csv"], ".parquet"),
        (["collect", "agnews", "--shots", "many"], "--shots"),
        (["collect", "task.toml", "--shots", "0"], "'opt'"),
        (["demo", "--out", "opt.parquet"], "--out"),
        (["demo", "--opt-rows", "0"], "--opt-rows must be a positive integer, got 0."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(folder, arguments, words):
    works("fit", "opt.parquet", "--n-starts", 1, "--method", "weight")
    table = ProbabilityTable.read("test.parquet")
    ProbabilityTable(table.probabilities).write("unlabelled.parquet")
    ProbabilityTable(table.to_numpy(), table.label_indices, classes=["no", "perhaps"]).write("other.parquet")
    Path("damaged.parquet").write_bytes(Path("opt.parquet").read_bytes()[:1000])
    Path("folder.html").mkdir()
    Path("task.toml").write_text(TASK, encoding="utf-8")
    before = sorted(path.name for path in folder.iterdir())
    assert words.lower() in refused(*arguments).lower()  # releases of typer write TABLE or table
    assert sorted(path.name for path in folder.iterdir()) == before  # no half-written file is left


def test_debug_shows_the_traceback(folder):
    result = process("--debug", "fit", "absent.parquet", cwd=folder)
    assert "Traceback" in result.stderr
    assert "TableError" in result.stderr


def test_a_real_process_refuses_in_one_line(folder):
    result = process("fit", "absent.parquet", cwd=folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("debias: error: absent.parquet")
    assert len(result.stderr.splitlines()) == 1
    result = process("fit", "opt.parquet", "--bogus", cwd=folder)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "Try: debias fit --help" in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command):
    result = works(command, "--help")
    assert f"debias {command}" in result.stdout
    assert "Example:" in result.stdout


def test_help_names_every_command_and_what_the_corrections_do_not_do():
    result = process("--help")
    assert result.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in result.stdout
    assert "social bias" in " ".join(result.stdout.split())


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom debias.cli import app\ntry:\n    app(['fit', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'sklearn', 'pandas', 'numba'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_class_called_interrupted_is_a_class_like_any_other(folder):
    table = ProbabilityTable.read("opt.parquet")
    labels = np.where(np.arange(200) < 3, 1, 0)
    named = ProbabilityTable(table.to_numpy(), labels, classes=["fine", "interrupted"])
    named.write("named.parquet")
    result = works("fit", "named.parquet", "--method", "ensemble", "--n-starts", 2)
    assert "interrupted" in result.stderr  # a warning names it: it has three rows
    assert load("correction.json").certificate_ is not None


def test_help_keeps_words_in_brackets():
    assert "debias-iterit[demo]" in works("demo", "--help").stdout


def test_versions():
    assert works("--version").stdout == f"debias {debias.__version__}\n"
    assert run("--version", application=iterit_app).stdout == f"iterit {debias.__version__}\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny random model in a folder, as any user's model is."""
    path = tmp_path_factory.mktemp("model")
    tiny_model("gpt2").save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A task of one's own with its data."""
    monkeypatch.chdir(tmp_path)
    transformers.logging.disable_progress_bar()
    Path("task.toml").write_text(TASK, encoding="utf-8")
    frame = pd.DataFrame(
        {"text": [f"number {k} it is" for k in range(40)], "label": ["praise", "blame"] * 20}
    )
    frame.iloc[:24].to_csv("opt.csv", index=False)
    frame.iloc[24:].to_csv("test.csv", index=False)
    return tmp_path


def test_collect_from_files_of_ones_own(reviews, model):
    common = ("task.toml", "--model", model, "--dtype", "float32", "--shots", "per-class")
    out = works("collect", *common, "--data", "opt.csv", "--out", "opt.parquet", "--limit", 10).stdout
    assert "opt.parquet: 10 rows, classes praise, blame." in out
    assert "Uncorrected: " in out
    works("collect", *common, "--split", "test", "--data", "test.csv", "--shots-data", "opt.csv")
    opt, test = (ProbabilityTable.read(f"{name}.parquet") for name in ("opt", "test"))
    assert opt.metadata["shots"] == 2
    assert opt.metadata["demonstrations"] == test.metadata["demonstrations"]
    assert opt.metadata["split"] == "opt"
    shown = set(opt.metadata["demonstrations"])
    assert not shown & set(opt.ids)
    assert (len(opt), len(test)) == (10, 16)
    works("fit", "opt.parquet", "--n-starts", 1)
    works("report", "test.parquet", "--fitted-on", "opt.parquet")
    assert "labels used" in Path("report.html").read_text(encoding="utf-8")


def test_collect_reads_a_finished_table_back_and_refuses_other_settings(reviews, model):
    common = ("collect", "task.toml", "--data", "opt.csv", "--model", model, "--dtype", "float32")
    works(*common, "--shots", 0)
    written = Path("opt.parquet").stat().st_mtime_ns
    works(*common, "--shots", 0)
    assert Path("opt.parquet").stat().st_mtime_ns == written
    assert "demonstrations" in refused(*common, "--shots", 1)


def not_in_the_background() -> None:
    """Undo what a shell does to a job in the background, whose children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_with_130_and_says_what_is_kept(folder):
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.ones(6), 3000)
    ProbabilityTable(values, rng.integers(6, size=3000)).write("large.parquet")
    running = subprocess.Popen(
        [sys.executable, "-m", "debias.cli", "fit", "large.parquet", "--n-starts", "20000", "--jobs", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=not_in_the_background,
    )
    deadline = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < deadline:
        time.sleep(5)
        running.send_signal(signal.SIGINT)
        try:
            running.wait(timeout=30)
        except subprocess.TimeoutExpired:
            continue
    _, errors = running.communicate()
    assert running.returncode == 130, errors
    last = errors.splitlines()[-1]
    assert last.startswith("debias: interrupted: ")
    kept = (folder / "correction.json").exists()
    assert kept == ("was saved to correction.json" in last)
    if kept:
        assert json.loads((folder / "correction.json").read_text(encoding="utf-8"))["n_labels"] == 3000


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "test.parquet", "--correction", "c.json", "--out", "test.parquet"),
        ("fit", "opt.parquet", "--out", "./opt.parquet"),
        ("compare", "opt.csv", "--test", "test.parquet", "--out", "opt.csv"),
    ],
)
def test_an_input_is_never_written_over(folder, arguments):
    ProbabilityTable.read("opt.parquet").write("opt.csv")
    works("fit", "opt.parquet", "--n-starts", "1", "--method", "weight", "--out", "c.json")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    error, line = refusal(*arguments)
    assert error.parameter == "out"
    assert "--out" in line
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "opt.parquet", "--jobs", "0"),
        ("fit", "opt.parquet", "--seed", "-1"),
        ("fit", "opt.parquet", "--seed", "99999999999"),
        ("compare", "opt.parquet", "--test", "test.parquet", "--seed", "-1"),
        ("demo", "--seed", "-1"),
    ],
)
def test_numbers_out_of_range_are_refused_in_one_line(folder, arguments):
    refused(*arguments)
