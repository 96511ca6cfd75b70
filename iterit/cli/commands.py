"""The ``iterit`` command: score instruction records, select, train round by round, report, audit.

Only what parses the command line is imported here; each command imports what it needs.
"""

from debias.console.command_group import make_program
from iterit.cli.audit import audit
from iterit.cli.merge import merge
from iterit.cli.plant import plant
from iterit.cli.prune import prune
from iterit.cli.recover import recover
from iterit.cli.report import report
from iterit.cli.score import score
from iterit.cli.select import select
from iterit.cli.train import train

app = make_program(
    "iterit",
    (score, merge, select, train, prune, recover, report, audit, plant),
    summary="Pick the instructions that currently teach a model most, train on them, and score again.\n\nA "
    "record is hard if its question helps the model little with its answer (IFD). Picks are hard "
    "and add n-grams to those already picked.",
    start="iterit select your.jsonl --model demo --ratio 0.05",
    kept="what was scored and saved is kept; rerun the same command to resume",
)
