"""Corrections: functions of one class's probability, the families to choose from, and explanations."""

from debias.corrections.correction import Correction, Function, Triangle, Weight
from debias.corrections.families import (
    Family,
    ensemble,
    family_of,
    gaussians,
    memberships,
    sigmoids,
    trapezoids,
    weights,
    wide,
)
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid

__all__ = [
    "Correction",
    "Family",
    "Function",
    "Gaussian",
    "Scaled",
    "Sigmoid",
    "Trapezoid",
    "Triangle",
    "Weight",
    "ensemble",
    "family_of",
    "gaussians",
    "memberships",
    "sigmoids",
    "trapezoids",
    "weights",
    "wide",
]
