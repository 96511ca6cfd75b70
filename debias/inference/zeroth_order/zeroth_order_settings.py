"""Settings of forward-only training, the same in Python and on the command line."""

from dataclasses import dataclass

from debias.settings import Settings, setting

OPTIMIZERS = ("sparse-mezo", "mezo")
SPARSITY = 0.75
"""Share of the weights that Sparse MeZO does NOT touch."""
EPSILON = 1e-3
RATE_SHARE = 0.5
"""Share of the best rate for a quadratic loss that a step takes: a batch is not the whole loss."""
LARGEST_RATE = 1e-2
"""The rate where a loss does not bend upwards, so that nothing says how far is too far."""


@dataclass(frozen=True)
class ZerothOrderSettings(Settings):
    """How a model is trained by forward passes alone.

    Parameters
    ----------
    optimizer : {"sparse-mezo", "mezo"}, default="sparse-mezo"
        Whether a share of each tensor, its smallest weights, is touched, or all of it.
    steps : int, default=200
    batch_size : int, default=16
        Rows of a step.
    micro_batch : int, optional
        Rows that go through the model together; all of a step by default.
    learning_rate : float, optional
        Constant. By default half of the best one for the curvature that is measured before the first step.
    epsilon : float, default=0.001
        How far weights are moved to measure the loss.
    sparsity : float, default=0.75
        Share of the weights that Sparse MeZO does NOT touch: the largest of each tensor.
    weight_decay : float, default=0.0
    seed : int, default=0

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> ZerothOrderSettings().untouched, ZerothOrderSettings(optimizer="mezo").untouched
    (0.75, 0.0)
    >>> ZerothOrderSettings(sparsity=1.0)
    Traceback (most recent call last):
    debias.errors.ParameterError: sparsity must be a number from 0 to 0.9999, got 1.0.
    """

    optimizer: str = setting(
        "sparse-mezo",
        "sparse-mezo: a step moves the smallest weights of each tensor; mezo: it moves all weights.",
        one_of=OPTIMIZERS,
    )
    steps: int = setting(200, "Number of steps, each of two forward passes over a batch.", least=1)
    batch_size: int = setting(16, "Number of rows per step.", least=1)
    micro_batch: int | None = setting(
        None, "Number of rows in one forward pass; all rows of a step by default.", least=1
    )
    learning_rate: float | None = setting(
        None, "Constant learning rate; by default half of the best one for the measured curvature.", above=0
    )
    epsilon: float = setting(EPSILON, "Size of the perturbation used to measure the loss.", above=0)
    sparsity: float = setting(
        SPARSITY, "Share of the weights that sparse-mezo does NOT change.", least=0, most=0.9999
    )
    weight_decay: float = setting(0.0, "Weight decay; not applied to biases and norms.", least=0)
    seed: int = setting(0, "Random seed.", least=0)

    @property
    def untouched(self) -> float:
        """Share of the weights that is NOT touched: 0 for MeZO."""
        return self.sparsity if self.optimizer == "sparse-mezo" else 0.0


def rate_of(curvature: float) -> float:
    """Return the learning rate for a measured curvature.

    Examples
    --------
    >>> rate_of(1000.0), rate_of(-3.0)
    (0.0005, 0.01)
    """
    return LARGEST_RATE if curvature <= 0 else min(RATE_SHARE / curvature, LARGEST_RATE)
