"""Settings of the training of rounds, and what they are by default."""

from dataclasses import dataclass

from debias.settings import Settings, setting
from iterit.training.setup.training_device import computes_in_bfloat16

_RATES = {True: 2e-4, False: 2e-5}
_FORWARD_ONLY_RATES = {True: 1e-4, False: 1e-6}  # published for MeZO
_EPSILONS = {True: 1e-2, False: 1e-3}
OPTIMIZERS = ("adamw", "mezo", "sparse-mezo")


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How rounds are trained.

    Parameters
    ----------
    rounds : int, default=3
    epochs_per_round : int, default=1
    lora : bool, default=True
        Whether to train an adapter (LoRA, by peft) or all weights.
    lora_rank : int, default=16
        Its scale is twice the rank.
    learning_rate : float, optional
        By default 2e-4 for an adapter and 2e-5 for all weights, falling as a cosine; without gradients 1e-4
        and 1e-6, constant.
    warmup_share : float, default=0.03
        Share of the steps in which it rises.
    batch_size : int, default=4
        Records per process and batch.
    gradient_accumulation : int, default=8
        Batches per step.
    bf16 : bool, optional
        Whether to train in mixed precision: by default where an adapter is trained by gradients on a device
        that computes in bfloat16. Weights that are trained stay in float32; frozen weights below an adapter
        are then kept in bfloat16, in half the memory.
    save_steps : int, optional
        Steps between checkpoints; one checkpoint per epoch by default.
    device : str, default="auto"
        "cpu" uses no accelerator; others train on the first one.
    seed : int, default=0
    optimizer : {"adamw", "mezo", "sparse-mezo"}, default="adamw"
        The latter two train by forward passes alone, see
        :mod:`iterit.training.zeroth_order.zeroth_order_trainer`.
    sparsity : float, default=0.75
        Share of the weights that sparse-mezo does NOT touch: the largest of each tensor.
    epsilon : float, optional
        How far weights are moved to measure the loss without gradients: by default 1e-2 for an adapter and
        1e-3 for all weights.

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> TrainingSettings(lora=False).rate
    2e-05
    >>> TrainingSettings(rounds=0)
    Traceback (most recent call last):
    debias.errors.ParameterError: rounds must be a positive integer, got 0.
    """

    rounds: int = setting(3, "Number of rounds of scoring, picking and training.", least=1)
    epochs_per_round: int = setting(1, "Number of epochs over the picks of a round.", least=1)
    lora: bool = setting(True, "Train an adapter, or all weights.", option="--lora/--full")
    lora_rank: int = setting(16, "Rank of the adapter.", least=1)
    learning_rate: float | None = setting(
        None, "Learning rate; by default 2e-4 for an adapter and 2e-5 for all weights.", above=0
    )
    warmup_share: float = setting(
        0.03, "Share of the steps used for learning rate warm-up.", least=0, most=0.99
    )
    batch_size: int = setting(4, "Batch size per process.", least=1)
    gradient_accumulation: int = setting(8, "Number of batches per step.", least=1)
    bf16: bool | None = setting(
        None,
        "Train in mixed precision, and score in bfloat16; by default if an adapter is trained and the device"
        " computes in bfloat16.",
    )
    save_steps: int | None = setting(
        None, "Number of steps between checkpoints; by default there is one per epoch.", least=1
    )
    device: str = setting("auto", "auto, cpu, or cuda (the first one that is visible).")
    seed: int = setting(0, "Random seed.", least=0)
    optimizer: str = setting(
        "adamw",
        "adamw, or an optimizer that needs forward passes only: mezo (all weights) or sparse-mezo.",
        one_of=OPTIMIZERS,
    )
    sparsity: float = setting(
        0.75, "Share of the weights that sparse-mezo does NOT change.", least=0, most=0.9999
    )
    epsilon: float | None = setting(
        None,
        "Size of the perturbation used to measure the loss; by default 1e-2 for an adapter, 1e-3 otherwise.",
        above=0,
    )

    @property
    def by_gradients(self) -> bool:
        """Whether training computes gradients."""
        return self.optimizer == "adamw"

    @property
    def mixed_precision(self) -> bool:
        """Whether to train in mixed precision, given or default."""
        if self.bf16 is None:
            return self.lora and self.by_gradients and computes_in_bfloat16(self.device)
        return self.bf16

    @property
    def rate(self) -> float:
        """The learning rate, given or default."""
        rates = _RATES if self.by_gradients else _FORWARD_ONLY_RATES
        return rates[self.lora] if self.learning_rate is None else self.learning_rate

    @property
    def perturbation(self) -> float:
        """How far weights are moved to measure the loss without gradients, given or default."""
        return _EPSILONS[self.lora] if self.epsilon is None else self.epsilon
