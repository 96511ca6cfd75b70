"""Run the command as ``python -m debias.cli``."""

from debias.cli import app

app(prog_name="debias")
