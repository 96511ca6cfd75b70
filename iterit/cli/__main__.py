"""Run the command as ``python -m iterit.cli``."""

from iterit.cli import app

app(prog_name="iterit")
