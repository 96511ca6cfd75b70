"""The ``iterit`` command: score instruction records, select, train round by round, report, audit.

No command is imported here: the list of commands shows a line of each.
"""

from debias.console.command_group import Command, make_program

_COMMANDS = (
    ("iterit.cli.score:score", "Score how hard each record is for a model (IFD)."),
    ("iterit.cli.merge:merge", "Merge the shards that iterit score --shard wrote into one file of scores."),
    (
        "iterit.cli.select:select",
        "Select the records that are hard for a model and add to what is already picked.",
    ),
    ("iterit.cli.train:train", "Train on the records that are hard for the model now, round by round."),
    (
        "iterit.cli.prune:prune",
        "Prune neurons and heads of a model, so that an adapter can be trained in less memory.",
    ),
    (
        "iterit.cli.recover:recover",
        "Convert an adapter of a pruned model to an ordinary adapter of the whole model, for peft, vLLM etc.",
    ),
    (
        "iterit.cli.report:report",
        "Report on a run: picks and their overlap, score changes, lengths, sources, loss, time and cost.",
    ),
    (
        "iterit.cli.audit:audit",
        "Audit picks: train on them and on random records of the same lengths, and compare.",
    ),
    (
        "iterit.cli.plant:plant",
        "Plant records of known worth in a copy of a pool: wrong answers, near copies, other languages.",
    ),
)
"""Module and function, and the first line of its docstring, in the order of the help text."""

COMMANDS = tuple(Command.imported_later(place, summary) for place, summary in _COMMANDS)

app = make_program(
    "iterit",
    COMMANDS,
    summary="Pick the instructions that are hard for a model now, train on them, and score again.\n\nA "
    "record is hard if its question helps the model little with its answer (IFD). Picks are hard "
    "and add n-grams to those already picked.",
    start="iterit select your.jsonl --model demo --ratio 0.05",
    kept="what was scored and saved is kept; rerun the same command to resume",
)
