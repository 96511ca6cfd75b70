"""The figures that ``debias collect`` prints about the tables it made."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias.console.screen import print_table

if TYPE_CHECKING:
    from debias.inference.collection.grid import CollectedGrid
    from debias.tables.table import ProbabilityTable


def describe_collection(table: "ProbabilityTable", path: Path) -> list[str]:
    """Say what was collected, and how the model does without correction.

    Parameters
    ----------
    table : ProbabilityTable
        As :func:`debias.inference.collection.collection.collect` made it.
    path : Path
        Where it was written.

    Returns
    -------
    list of str
        Sentences.
    """
    from debias.console.number_formats import counted, percent
    from debias.inference.collection.grid import uncorrected, uncorrected_by_class
    from debias.tables.information import rows_without_information

    lines = [f"{path}: {counted(len(table), 'row')}, classes {', '.join(table.classes)}."]
    n_even = rows_without_information(table.to_numpy())
    if n_even:
        which = (
            "All rows give" if n_even == len(table) else f"{n_even:,} of {counted(len(table), 'row')} give"
        )
        lines.insert(
            0, f"{which} every class the same probability: they carry no information about the classes."
        )
    facts = table.metadata
    mass = facts.get("label_mass", {})
    if facts.get("votes"):
        lines += _describe_votes(facts["votes"], len(table))
    elif mass:
        lines.append(
            f"Together, the labels got {percent(mass['mean'])} of the probability on average; "
            f"{counted(mass['rows_below'], 'row')} gave them less than {percent(mass['threshold'])}."
        )
    bounds = facts.get("bounds", {})
    if bounds.get("rows"):
        by_class = ", ".join(f"{name} {count:,}" for name, count in bounds["labels"].items())
        lines.append(
            f"In {counted(bounds['rows'], 'row')}, a label was not among the tokens that the server "
            f"returned: its probability is an upper bound there (by class: {by_class})."
        )
    if facts.get("truncated", {}).get("rows"):
        lines.append(f"The text was truncated in {counted(facts['truncated']['rows'], 'row')}.")
    if facts.get("reused_rows"):
        lines.append(f"Answers from other runs were reused for {counted(facts['reused_rows'], 'row')}.")
    if table.labels is not None:
        accuracies = uncorrected_by_class(table)
        shares = ", ".join(f"{name} {percent(value)}" for name, value in accuracies.items())
        accuracy, cobias = uncorrected(table)
        even = f", COBias {100 * cobias:.1f} points" if len(accuracies) > 1 else ""
        lines.append(f"Uncorrected: {percent(accuracy)} are correct{even}; by class: {shares}.")
    return lines


def describe_shard(n_rows: int, path: Path) -> list[str]:
    """Say what a shard has, and what to do with it.

    Parameters
    ----------
    n_rows : int
    path : Path
        Where it was written.

    Returns
    -------
    list of str
        Sentences.
    """
    from debias.console.number_formats import counted
    from debias.inference.collection.shards.shard_run import CollectedShard

    written = CollectedShard.of(path)
    of_all = counted(written.n_rows_of_all, "row")
    return [
        f"{path}: shard {written.shard}, {n_rows:,} of {of_all}.",
        "This is not a table yet: combine all shards with debias merge.",
    ]


def _describe_votes(votes: Mapping[str, Any], n_rows: int) -> list[str]:
    """Say how answers were drawn and matched."""
    from debias.console.number_formats import counted, percent

    n_all, by_rule = n_rows * votes["n_votes"], votes["answers"]
    kind = "answers to one prompt" if votes["vote_by"] == "samples" else "orders of the prompt"
    rules = ", ".join(f"{rule} {count:,}" for rule, count in by_rule.items() if count)
    lines = [
        f"Votes: {votes['n_votes']} {kind} for each row, temperature {votes['temperature']:g}, at most "
        f"{counted(votes['answer_tokens'], 'token')}, seed {votes['vote_seed']}; "
        f"{votes['smoothing']:g} added to each class.",
        f"{percent(1 - by_rule['unmatched'] / n_all)} of {n_all:,} answers match a label ({rules}).",
    ]
    if votes["rows_without_a_vote"]:
        lines.append(
            f"No answer matches in {counted(votes['rows_without_a_vote'], 'row')}: its classes are equal."
        )
    if votes["unmatched_texts"]:
        shown = ", ".join(f"{text!r} {count:,}" for text, count in list(votes["unmatched_texts"].items())[:5])
        lines.append(f"The most frequent answers that match no label: {shown}.")
    return lines


def print_tables(many: "CollectedGrid", folder: Path) -> None:
    """Print a row for each table, and one for each setting where it has several seeds.

    Parameters
    ----------
    many : CollectedGrid
    folder : Path
        Where the tables are.
    """
    from debias.console.number_formats import percent

    def cells(row: Mapping[Hashable, float], *names: str) -> list[str]:
        return [percent(row[name], unit=False) for name in names]

    by_table = [
        [row["path"].name, f"{row['rows']:,}", *cells(row, "accuracy", "cobias", "label_mass")]
        for row in many.by_table.to_dict("records")
    ]
    header = ["table", "rows", "accuracy, %", "COBias, points", "label mass, %"]
    print_table(f"Tables in {folder}, uncorrected", header, by_table)
    names = ("accuracy_mean", "accuracy_std", "cobias_mean", "cobias_std")
    by_setting = [
        [row["task"], row["shots"], row["tables"], *cells(row, *names)]
        for row in many.by_setting.to_dict("records")
    ]
    if len(by_setting) < len(by_table):
        header = ["task", "shots", "tables", "accuracy, %", "±", "COBias, points", "±"]
        print_table("Mean and standard deviation over seeds", header, by_setting, n_names=2)


def describe_usage(usage: Mapping[str, Any]) -> list[str]:
    """Say what a server was sent.

    Parameters
    ----------
    usage : dict
        Of :meth:`debias.inference.engine.Engine.usage`.

    Returns
    -------
    list of str
        One sentence, or none.

    Examples
    --------
    >>> describe_usage({"requests": 1200, "tokens": 64000, "asked_again": {"429": 2}})
    ['The server was sent 1,200 requests (64,000 tokens), 2 of them repeated.']
    """
    if not usage.get("requests"):
        return []
    again = sum(usage.get("asked_again", {}).values())
    repeated = f", {again:,} of them repeated" if again else ""
    return [
        f"The server was sent {usage['requests']:,} requests ({usage.get('tokens', 0):,} tokens){repeated}."
    ]
