"""The ``iterit`` command: score instruction records, select, train round by round, report, audit.

Nothing of a command is imported here: the list of them needs a line each.
"""

from debias.console.command_group import Command, make_program

COMMANDS = (
    Command("iterit.cli.score:score", "Score how hard each record is for a model (IFD)."),
    Command(
        "iterit.cli.merge:merge", "Merge the shards that iterit score --shard wrote into one file of scores."
    ),
    Command(
        "iterit.cli.select:select",
        "Select the records that are hard for a model and add to what is already picked.",
    ),
    Command("iterit.cli.train:train", "Train on what teaches the model most now, round by round."),
    Command(
        "iterit.cli.prune:prune",
        "Prune neurons and heads of a model, so that an adapter can be trained in less memory.",
    ),
    Command(
        "iterit.cli.recover:recover",
        "Convert an adapter of a pruned model to an ordinary adapter of the whole model, for peft, vLLM etc.",
    ),
    Command(
        "iterit.cli.report:report",
        "Report on a run: picks and their overlap, score changes, lengths, sources, loss, time and cost.",
    ),
    Command(
        "iterit.cli.audit:audit",
        "Audit picks: train on them and on random records of the same lengths, and compare.",
    ),
    Command(
        "iterit.cli.plant:plant",
        "Plant records of known worth in a copy of a pool: wrong answers, near copies, other languages.",
    ),
)
"""In the order of the help text; each is imported when it is used."""

app = make_program(
    "iterit",
    COMMANDS,
    summary="Pick the instructions that currently teach a model most, train on them, and score again.\n\nA "
    "record is hard if its question helps the model little with its answer (IFD). Picks are hard "
    "and add n-grams to those already picked.",
    start="iterit select your.jsonl --model demo --ratio 0.05",
    kept="what was scored and saved is kept; rerun the same command to resume",
)
