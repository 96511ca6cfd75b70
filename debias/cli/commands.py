"""The ``debias`` command: from texts to an even classifier and its report, file by file.

No command is imported here: the list of commands shows a line of each.
"""

from debias.console.command_group import Command, make_program

_COMMANDS = (
    (
        "debias.cli.model_commands.collect:collect",
        "Collect the class probabilities that a model assigns to texts.",
    ),
    (
        "debias.cli.model_commands.merge:merge",
        "Merge the shards that debias collect --shard wrote into one table.",
    ),
    ("debias.cli.split:split", "Randomly split a table into rows to fit on and rows to test on."),
    (
        "debias.cli.fit:fit",
        "Fit a correction on labelled rows: by default the simplest one that is as good as the best.",
    ),
    (
        "debias.cli.frontier:frontier",
        "Show all trade-offs between accuracy and COBias that no other choice beats in both.",
    ),
    (
        "debias.cli.model_commands.tune:tune",
        "Train a prompted classifier without gradients and correct it, with one report on both.",
    ),
    (
        "debias.cli.serving_commands.show_correction:show",
        "Show the card of a correction: model, prompt, rows, the correction of each class, and what holds.",
    ),
    ("debias.cli.apply:apply", "Predict the rows of a table with a correction."),
    (
        "debias.cli.serving_commands.export_correction:export",
        "Export a correction for use where the model is served.",
    ),
    (
        "debias.cli.certify:certify",
        "Guarantee class accuracies, COBias and accuracy on new rows, with a stated confidence.",
    ),
    ("debias.cli.watch:watch", "Check on new rows whether a correction still holds."),
    ("debias.cli.report:report", "Report what a correction does on labelled rows it has not seen."),
    ("debias.cli.compare:compare", "Compare corrections with baselines on held-out rows, and say who wins."),
    (
        "debias.cli.model_commands.bench_engine:bench_engine",
        "Benchmark an engine: prompts and tokens per second, padding, memory, and share of the peak.",
    ),
    (
        "debias.cli.demo:demo",
        "Watch a real language model misjudge news topics, and a correction even it out.",
    ),
)
"""Module and function, and the first line of its docstring, in the order of the help text."""

COMMANDS = tuple(Command.imported_later(place, summary) for place, summary in _COMMANDS)

app = make_program(
    "debias",
    COMMANDS,
    summary="Even out the class accuracies of a prompted language model, after the fact.\n\n"
    "Collect class probabilities once, fit one small correction per class on labelled rows, apply it "
    "anywhere. It evens class accuracies; it does not remove social bias.",
    start="debias demo",
)
