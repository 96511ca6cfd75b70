"""Corrections: functions of one class's probability, the families to choose from, and explanations."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from debias.corrections.correction import Correction as Correction
    from debias.corrections.correction import Function as Function
    from debias.corrections.correction import Triangle as Triangle
    from debias.corrections.correction import Weight as Weight
    from debias.corrections.families import Family as Family
    from debias.corrections.families import ensemble as ensemble
    from debias.corrections.families import family_of as family_of
    from debias.corrections.families import gaussians as gaussians
    from debias.corrections.families import memberships as memberships
    from debias.corrections.families import sigmoids as sigmoids
    from debias.corrections.families import trapezoids as trapezoids
    from debias.corrections.families import weights as weights
    from debias.corrections.families import wide as wide
    from debias.corrections.shapes import Gaussian as Gaussian
    from debias.corrections.shapes import Scaled as Scaled
    from debias.corrections.shapes import Sigmoid as Sigmoid
    from debias.corrections.shapes import Trapezoid as Trapezoid

_HOMES = {
    "correction": ("Correction", "Function", "Triangle", "Weight"),
    "families": (
        "Family",
        "ensemble",
        "family_of",
        "gaussians",
        "memberships",
        "sigmoids",
        "trapezoids",
        "weights",
        "wide",
    ),
    "shapes": ("Gaussian", "Scaled", "Sigmoid", "Trapezoid"),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
