"""The verdict: by hand, and random comparisons whose every sentence an independent reader checks."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.console.number_formats import percent, signed, signed_span
from debias.reports.comparison.verdict import beaten_by, verdict

GROUPS = ("reference", "label-free", "plain", "published", "ours", "reader")
AXES = {
    "highest accuracy": ("accuracy", 1),
    "lowest COBias": ("cobias", -1),
    "highest worst class accuracy": ("worst_class_accuracy", 1),
}

CLAUSE = re.compile(
    r"(.+?) \((\d+\.\d)(?:, (.+? points.*?))?\)"
    r"(?:, which never predicts (\d) class(?:es)?)?(?:, (equalled by|then) (.+))?"
)


def figures_of(accuracies, shares, groups, against, rng):
    """Return figures that follow from class accuracies and the shares of the classes."""
    first, second = np.triu_indices(accuracies.shape[1], 1)
    values = accuracies.to_numpy()
    figures = pd.DataFrame(
        {
            "accuracy": values @ shares,
            "cobias": np.abs(values[:, first] - values[:, second]).mean(axis=1),
            "worst_class_accuracy": values.min(axis=1),
        },
        index=accuracies.index,
    )
    for axis, _ in AXES.values():
        own = figures[axis].get(against, np.nan)
        figures[f"{axis}_difference"] = figures[axis] - own
        for end, sign in (("low", -1), ("high", 1)):
            figures[f"{axis}_difference_{end}"] = (
                figures[f"{axis}_difference"] + sign * rng.integers(0, 4, len(figures)) / 8
            )
    return figures.assign(group=groups, needs="texts")


def names_in(text, names):
    """Return the names that a phrase lists, and how many more it counts."""
    more = re.search(r"(?:,| and) (\d+) more$", text)
    return [name for name in names if name in text], int(more[1]) if more else 0


def check_clause(clause, figures, against):
    """Check one clause on an axis against the figures; figures are those of methods that may win."""
    words, said = clause.split(": ", 1)
    axis, sign = AXES[words]
    best = [n for n in figures.index if sign * figures.loc[n, axis] >= (sign * figures[axis]).max() - 1e-9]
    match = CLAUSE.fullmatch(said)
    assert match, said
    leader, shown, difference, never, how, others = match.groups()
    if against in figures.index:
        assert int(never or 0) == figures.loc[leader, "never_predicted"]
    assert shown == percent(figures.loc[best[0], axis], unit=False)
    if against not in figures.index:
        named, more = names_in(leader, figures.index)
        assert set(named) <= set(best) and len(named) + more == len(best)
        return
    assert leader in best
    assert (leader == against) == (against in best)
    if difference:
        check_difference(difference, figures.loc[leader], axis, f" against {against}")
    else:
        assert leader == against
    if how == "equalled by":
        named, more = names_in(others, figures.index)
        assert set(named) <= set(best) - {leader} and len(named) + more == len(best) - 1
    elif how == "then":
        assert best == [against]
        follower, value, difference = re.fullmatch(r"(.+?) \((\d+\.\d), (.+)\)", others).groups()
        rest = figures.drop(index=against)
        assert sign * rest.loc[follower, axis] >= (sign * rest[axis]).max() - 1e-9
        assert value == percent(rest.loc[follower, axis], unit=False)
        check_difference(difference, rest.loc[follower], axis, "")
    else:
        assert len(best) == 1 or difference is None
        assert leader != against or len(best) == len(figures)


def check_difference(said, row, axis, against):
    value, low, high = (row[f"{axis}_difference{end}"] for end in ("", "_low", "_high"))
    none = ", a difference that these rows cannot confirm: interval " if low <= 0 <= high else ", interval "
    assert said == f"{signed(value)} points{against}{none}{signed_span(low, high)}"


def check_advice(sentence, figures, accuracies, ours):
    """Check the second sentence."""
    plain = [n for n in figures.index if figures.loc[n, "group"] != "ours"]
    dominating = [n for n in plain if ours and (accuracies.loc[n] >= accuracies.loc[ours]).all()]
    said = r"Every class is classified at least as accurately with (.+) as with (.+): use (.+)\."
    use = re.fullmatch(said, sentence)
    assert bool(use) == bool(dominating)
    if use:
        assert use[1] in dominating and use[2] == ours and use[3] == use[1]
        return

    def beats(n, other):
        a, b = figures.loc[n], figures.loc[other]
        as_good = a["accuracy"] >= b["accuracy"] - 1e-9 and a["cobias"] <= b["cobias"] + 1e-9
        return as_good and (a["accuracy"] > b["accuracy"] + 1e-9 or a["cobias"] < b["cobias"] - 1e-9)

    if ours is None:
        named, more = names_in(sentence.removesuffix("."), figures.index)
        unbeaten = {n for n in figures.index if not any(beats(o, n) for o in figures.index)}
        assert set(named) <= unbeaten and len(named) + more == len(unbeaten)
        return
    by = {n for n in figures.index if beats(n, ours)}
    assert sentence.startswith(f"In accuracy and COBias together, {ours} is beaten by ")
    tail = sentence.split(" is beaten by ")[1].removesuffix(".")
    if tail == "no row that uses only the probabilities":
        assert not by
    else:
        named, more = names_in(tail, figures.index)
        assert set(named) <= by and len(named) + more == len(by) > 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_every_sentence_is_true(seed):
    rng = np.random.default_rng(seed)
    n_methods, n_classes = rng.integers(1, 9), rng.integers(2, 5)
    names = [f"row{number}, x ({number})."[:-1] for number in range(n_methods)]
    steps = rng.integers(2, 6)
    accuracies = pd.DataFrame(rng.integers(0, steps + 1, (n_methods, n_classes)) / steps, index=names)
    if rng.random() < 0.3:  # one row that is at least as right in every class
        accuracies.iloc[0] = accuracies.max()
    shares = rng.dirichlet(np.ones(n_classes))
    groups = rng.choice(GROUPS, n_methods)
    against = str(rng.choice(names))
    figures = figures_of(accuracies, shares, groups, against, rng)
    figures["never_predicted"] = rng.integers(0, 3, n_methods)
    failed = rng.random(n_methods) < 0.15
    figures.loc[failed, figures.columns.drop(["group", "needs"])] = np.nan
    if failed[names.index(against)]:
        figures.loc[:, [c for c in figures if "difference" in c]] = np.nan
    accuracies[failed] = np.nan
    sentences = verdict(figures, accuracies[~failed], against)
    rivals = figures[~failed & (groups != "reader")]
    assert 1 <= len(sentences) <= 3
    if rivals.empty:
        assert sentences == ["No method that uses only the probabilities was measured."]
        return
    clauses = sentences[0].removeprefix("On these rows, ").removesuffix(".").split("; ")
    assert [clause.split(": ")[0] for clause in clauses] == list(AXES)
    for clause in clauses:
        check_clause(clause, rivals, against)
    own = rivals.index[rivals["group"] == "ours"].tolist()
    ours = against if against in own else (own[0] if own else None)
    check_advice(sentences[1], rivals, accuracies, ours)
    readers = figures[~failed & (groups == "reader")]
    assert (len(sentences) == 3) == bool(len(readers))
    if len(readers):
        name = re.match("With the same labels, (.+), which needs texts, reaches", sentences[2])[1]
        assert readers.loc[name, "accuracy"] == readers["accuracy"].max()
        as_right = ours is not None and (accuracies.loc[name] >= accuracies.loc[ours]).all()
        assert ("is at least as accurate for every class" in sentences[2]) == as_right


def test_a_baseline_that_is_better_on_all_fourteen_classes_is_recommended():
    rng = np.random.default_rng(0)
    ours = rng.uniform(0.3, 0.8, 14)
    names = ["uncorrected", "logistic regression", "weight (DNIP)", "ensemble (DCS)"]
    accuracies = pd.DataFrame([ours - 0.2, ours + 0.01, ours + 0.02, ours], index=names)
    groups = ["reference", "plain", "ours", "ours"]
    figures = figures_of(accuracies, np.full(14, 1 / 14), groups, "ensemble (DCS)", rng)
    said = verdict(figures, accuracies, "ensemble (DCS)")
    advice = "classified at least as accurately with logistic regression as with ensemble (DCS): use logistic"
    assert f"Every class is {advice} regression." in said
    accuracies.loc["logistic regression", 3] = ours[3] - 0.001
    assert "use it" not in " ".join(verdict(figures, accuracies, "ensemble (DCS)"))


@pytest.mark.parametrize(
    ("rows", "beaten"),
    [
        ({"a": (0.6, 0.3), "b": (0.8, 0.1), "c": (0.7, 0.2)}, {"a": ["b", "c"], "b": [], "c": ["b"]}),
        ({"a": (0.6, 0.3), "b": (0.8, 0.3), "c": (0.7, 0.2)}, {"a": ["b", "c"], "b": [], "c": []}),
        ({"a": (0.7, 0.2), "b": (0.7, 0.2), "c": (0.7, float("nan"))}, {"a": [], "b": []}),
    ],
)
def test_beaten_in_two_dimensions(rows, beaten):
    figures = pd.DataFrame.from_dict(rows, orient="index", columns=["accuracy", "cobias"])
    assert {name: beaten_by(figures, name) for name in beaten} == beaten


def test_tables_on_which_ours_is_beaten_are_counted_and_named():
    rng = np.random.default_rng(1)
    groups = ["plain", "ours"]
    one = pd.DataFrame([[0.9, 0.9], [0.5, 0.6]], index=["trees", "auto"])
    two = pd.DataFrame([[0.9, 0.1], [0.8, 0.8]], index=["trees", "auto"])
    frames = {
        name: figures_of(part, np.array([0.5, 0.5]), groups, "auto", rng)
        for name, part in (("trec", one), ("rte", two))
    }
    both = pd.concat({"trec": one, "rte": two}, axis=1)
    mean = figures_of(both, np.full(4, 0.25), groups, "auto", rng)
    sentences = verdict(mean, both, "auto", frames)
    assert sentences[0].startswith("On average over 2 tables, ")
    assert sentences[1] == (
        "In accuracy and COBias together, auto is beaten on 1 of 2 tables: trec (by trees)."
    )
    better = pd.concat({"trec": one, "rte": two.clip(lower=0.8)}, axis=1)
    said = verdict(figures_of(better, np.full(4, 0.25), groups, "auto", rng), better, "auto", frames)
    assert "at least as accurately with trees as with auto: use trees." in said[1]
    assert said[1].startswith("Every class of every table")
