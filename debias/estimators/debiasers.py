"""The three debiasers as scikit-learn estimators, and reading one back from its file.

They differ in what they choose from: weights (DNIP), memberships (FuRud) or both (DCS).
"""

from collections.abc import Sequence
from typing import Any

from debias.corrections.correction import Correction
from debias.corrections.families import Family, ensemble, memberships, weights
from debias.estimators.correction_file import read_correction
from debias.estimators.debiaser import Debiaser
from debias.estimators.log_bias import LogBiasDebiaser
from debias.search.constraints import Goal


class EnsembleDebiaser(Debiaser):
    """A weight or a membership function per class (DCS, arXiv 2503.05157).

    Parameters
    ----------
    n_weights : int, default=30
        Steps of the weight scale; published values are 30, 50, 70 and 90.
    family : Family or sequence of Correction, optional
        Other corrections to choose from, instead of the published ones.
    objective : Objective or Constrained, optional
        What is minimised, within bounds or without; ``Objective()`` if not given.
    search : {"auto", "exact", "enumerate", "descent", "annealing-3/6", "annealing-150/300"}, default="auto"
        ``"auto"`` descends, then proves the optimum if that takes no more than a fixed amount of work,
        else that no choice within a radius is better. ``"exact"`` proves the optimum; ``"enumerate"``
        evaluates every choice, which completes the frontier; ``"descent"`` proves nothing. A
        published annealing schedule is a baseline.
    n_starts : int, default=32
        Starts of the descent.
    time_limit : float, optional
        Seconds for a proof. By default ``"auto"`` counts work, not seconds, and ``"exact"`` and
        ``"enumerate"`` have no limit: so the answer is the same on any machine, under any load. At the
        time limit the best so far is kept, with what is proved of it.
    polish : bool, default=False
        Then multiply each corrected value by a continuous factor in (0, 1], found by exact
        line searches: a lower objective than steps allow. The certificate stays that of the
        choice before it.
    shrink : bool or "auto", default="auto"
        Whether to choose as few labels ask for: on smoothed rows, the fewest changed classes within
        one standard error of the best, and none that cross-validation finds no better than the
        uncorrected model. The certificate stays that of the best choice on the rows. ``"auto"``:
        with fewer than 100 labelled rows, unless `polish` or a published schedule is asked for.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.
    n_jobs : int, optional
        Threads, as in scikit-learn: None for one, -1 for all. The answer is the same.
    random_state : int, RandomState or None, default=0
        Seed of the random starts.
    verbose : int, default=0
        Show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    choice_ : ndarray of shape (n_classes,)
        Published id of the correction of each class.
    corrections_ : list of Correction
        The corrections themselves.
    objective_value_, baseline_objective_value_ : float
        z per sample, with the corrections and without.
    improved_ : bool
        Whether anything beat the uncorrected model.
    feasible_ : bool
        Whether all bounds of a Constrained objective are kept. Out of bounds, z is at least
        ``debias.search.constraints.INFEASIBLE``.
    certificate_ : Certificate or None
        What is proved of the choice; None for a published schedule and after ``pick``.
    shrunk_ : bool
        Whether the choice was made as few labels ask for.
    shrinkage_path_ : DataFrame or None
        If so, choices with fewer and fewer changed classes, and which of them was taken.
    expectation_ : Expectation or None
        If so, or after ``expect``: cross-validated figures of new rows, with intervals.
    picked_row_ : int or None
        Row of the frontier that the choice was picked from by hand.
    frontier_ : DataFrame
        The pairs of accuracy and COBias that no other choice met beats in both.
    n_evaluations_ : int
        Choices that the search evaluated.
    n_labels_ : int
        Labelled rows that it used.

    Examples
    --------
    >>> import pandas as pd
    >>> from debias.search.objective import Objective
    >>> X = pd.DataFrame({"bad": [0.9, 0.8, 0.7, 0.6], "good": [0.1, 0.2, 0.3, 0.4]})
    >>> y = ["bad", "bad", "good", "good"]
    >>> debiaser = EnsembleDebiaser(objective=Objective(pmi=0.0)).fit(X, y)
    >>> debiaser.predict(X)
    array(['bad', 'bad', 'good', 'good'], dtype='<U4')
    >>> debiaser.objective_value_, debiaser.baseline_objective_value_
    (0.0, 1.5)
    """

    def __init__(
        self,
        *,
        n_weights: int = 30,
        family: Sequence[Correction] | None = None,
        objective: Goal | None = None,
        search: str = "auto",
        n_starts: int = 32,
        time_limit: float | None = None,
        polish: bool = False,
        shrink: bool | str = "auto",
        classes: Sequence[Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ):
        self.n_weights = n_weights
        self.family = family
        self.objective = objective
        self.search = search
        self.n_starts = n_starts
        self.time_limit = time_limit
        self.polish = polish
        self.shrink = shrink
        self.classes = classes
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _family(self) -> Family:
        return ensemble(self.n_weights) if self.family is None else Family.of(self.family)


class WeightDebiaser(Debiaser):
    """A weight per class (DNIP, arXiv 2405.07623).

    Parameters
    ----------
    n_weights : int, default=30
        Steps of the weight scale; published values are 30, 50, 70 and 90.
    objective, search, n_starts, time_limit, polish, shrink, classes, n_jobs, random_state, verbose
        As in :class:`EnsembleDebiaser`, as are the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from debias.search.objective import Objective
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = WeightDebiaser(objective=Objective(pmi=0.0), shrink=False).fit(X, [1, 0, 0])
    >>> debiaser.explain()["correction"].tolist()
    ['weight 18/30', 'identity']
    """

    def __init__(
        self,
        *,
        n_weights: int = 30,
        objective: Goal | None = None,
        search: str = "auto",
        n_starts: int = 32,
        time_limit: float | None = None,
        polish: bool = False,
        shrink: bool | str = "auto",
        classes: Sequence[Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ):
        self.n_weights = n_weights
        self.objective = objective
        self.search = search
        self.n_starts = n_starts
        self.time_limit = time_limit
        self.polish = polish
        self.shrink = shrink
        self.classes = classes
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _family(self) -> Family:
        return weights(self.n_weights)


class FuzzyDebiaser(Debiaser):
    """A membership function per class (FuRud, arXiv 2412.19018).

    Parameters
    ----------
    objective, search, n_starts, time_limit, polish, shrink, classes, n_jobs, random_state, verbose
        As in :class:`EnsembleDebiaser`, as are the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from debias.search.objective import Objective
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = FuzzyDebiaser(objective=Objective(pmi=0.0)).fit(X, [1, 0, 0])
    >>> debiaser.score(X, [1, 0, 0])
    1.0
    """

    def __init__(
        self,
        *,
        objective: Goal | None = None,
        search: str = "auto",
        n_starts: int = 32,
        time_limit: float | None = None,
        polish: bool = False,
        shrink: bool | str = "auto",
        classes: Sequence[Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ):
        self.objective = objective
        self.search = search
        self.n_starts = n_starts
        self.time_limit = time_limit
        self.polish = polish
        self.shrink = shrink
        self.classes = classes
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _family(self) -> Family:
        return memberships()


def load(path: Any, family: Sequence[Correction] | None = None) -> Debiaser:
    """Read a correction that :meth:`save` wrote.

    The file is data, never code: nothing in it is executed.

    Parameters
    ----------
    path : str or path-like
        The file.
    family : sequence of Correction, optional
        Corrections of your own, which a file names by id and label only.

    Returns
    -------
    WeightDebiaser, FuzzyDebiaser, EnsembleDebiaser or LogBiasDebiaser
        Fitted.

    Raises
    ------
    CorrectionFileError
        The file is missing, damaged, of another kind or version.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = WeightDebiaser().fit(X, [1, 0, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     debiaser.save(os.path.join(folder, "correction.json"))
    ...     again = load(os.path.join(folder, "correction.json"))
    >>> (again.predict(X) == debiaser.predict(X)).all()
    np.True_
    """
    kinds: dict[str, type[Debiaser]] = {
        kind.__name__: kind for kind in (WeightDebiaser, FuzzyDebiaser, EnsembleDebiaser, LogBiasDebiaser)
    }
    name, parameters, attributes = read_correction(path, tuple(kinds), family)
    debiaser = kinds[name](**parameters)
    for attribute, value in attributes.items():
        setattr(debiaser, attribute, value)
    return debiaser
