"""Smoothed rows: noisy copies of few labelled rows, so that a search sees no more than they show.

What is best on 20 rows is often best by the accident of where exactly these rows lie. Among noisy
copies (the smoothed bootstrap: Silverman and Young, Biometrika 1987) such accidents average out.
"""

import numpy as np

from debias.search.problem import FloatArray, IndexArray

N_COPIES = 16
"""Copies of a row; measured in experiments/results/few_labels.md."""

_LEAST = 1e-6
"""Probabilities below it count as this much, so that their logarithm is finite."""


def smooth(
    probabilities: FloatArray, y: IndexArray, n_copies: int = N_COPIES, random_state: int = 0
) -> tuple[FloatArray, IndexArray]:
    """Return noisy copies of labelled rows.

    The logarithm of each probability gets Gaussian noise; its deviation is that of the class's
    centred logarithms over all rows, times ``n_samples ** (-1 / 5)`` (Scott's rule for one
    dimension). Half of the copies have the noise of the other half with the sign changed, so that
    on average no row moves.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    n_copies : int
        Copies of each row, an even number; 1 for the rows as they are.
    random_state : int
        Seed of the noise.

    Returns
    -------
    probabilities : ndarray of shape (n_samples * n_copies, n_classes)
        The copies, those of a row one after another; rows sum to one.
    y : ndarray of shape (n_samples * n_copies,)
        Their labels.

    Examples
    --------
    >>> copies, labels = smooth(np.array([[0.6, 0.4], [0.9, 0.1]]), np.array([1, 0]), n_copies=4)
    >>> copies.round(2)
    array([[0.62, 0.38],
           [0.65, 0.35],
           [0.58, 0.42],
           [0.55, 0.45],
           [0.86, 0.14],
           [0.91, 0.09],
           [0.93, 0.07],
           [0.89, 0.11]])
    >>> labels
    array([1, 1, 1, 1, 0, 0, 0, 0])
    """
    if n_copies == 1:
        return probabilities, y
    logarithms = np.log(np.maximum(probabilities, _LEAST))
    centred = logarithms - logarithms.mean(axis=1, keepdims=True)
    deviations = centred.std(axis=0) * len(y) ** -0.2
    n_samples, n_classes = probabilities.shape
    half = np.random.default_rng(random_state).normal(size=(n_samples, n_copies // 2, n_classes)) * deviations
    noisy = centred[:, None, :] + np.concatenate([half, -half], axis=1)
    values = np.exp(noisy - noisy.max(axis=2, keepdims=True))
    values /= values.sum(axis=2, keepdims=True)
    return values.reshape(-1, n_classes), np.repeat(y, n_copies)
