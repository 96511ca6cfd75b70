"""Serving: a saved correction where the model runs, with NumPy alone unless a file here says otherwise."""

from debias.serving.served_correction import ServedCorrection as ServedCorrection
from debias.serving.served_correction import apply as apply
from debias.serving.served_correction import load as load

__all__ = ["ServedCorrection", "apply", "load"]
