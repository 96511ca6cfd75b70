"""The ``debias`` command: from texts to an even classifier and its report, file by file.

Only what parses the command line is imported here; each command imports what it needs.
"""

from debias.cli.apply import apply
from debias.cli.certify import certify
from debias.cli.compare import compare
from debias.cli.demo import demo
from debias.cli.fit import fit
from debias.cli.frontier import frontier
from debias.cli.model_commands.bench_engine import bench_engine
from debias.cli.model_commands.collect import collect
from debias.cli.model_commands.merge import merge
from debias.cli.model_commands.tune import tune
from debias.cli.report import report
from debias.cli.serving_commands.export_correction import export
from debias.cli.serving_commands.show_correction import show
from debias.cli.split import split
from debias.cli.watch import watch
from debias.console.command_group import make_program

app = make_program(
    "debias",
    (
        collect,
        merge,
        split,
        fit,
        frontier,
        tune,
        show,
        apply,
        export,
        certify,
        watch,
        report,
        compare,
        bench_engine,
        demo,
    ),
    summary="Even out the class accuracies of a prompted language model, after the fact.\n\n"
    "Collect class probabilities once, fit one small correction per class on labelled rows, apply it "
    "anywhere. It evens class accuracies; it does not remove social bias.",
    start="debias demo",
)
