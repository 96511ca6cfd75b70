"""A small report of two classes, and a class name that would run as code on a careless page."""

import numpy as np

from debias.corrections.correction import Triangle, Weight
from debias.reports.correction_report import Report
from debias.reports.figures import CorrectionDetails

HOSTILE = '<script>alert("x")</script>'


def report(names=("World", "Sports"), details=None, **options):
    first, second = names
    truth = [first] * 60 + [second] * 60
    before = [first] * 20 + [second] * 100
    after = [first] * 55 + [second] * 65
    rng = np.random.default_rng(0)
    if details is None:
        details = CorrectionDetails(
            corrections=[Triangle(0, 0.5, 1), Weight(5, 30)],
            sentences=[f"{first} is raised.", f"{second} is multiplied by 0.17."],
            probabilities=rng.dirichlet([1, 1], 120),
            settings={"Correction": {"method": "EnsembleDebiaser", "labels used": 4600}},
        )
    return Report(truth, before, after, names, details=details, **options)
