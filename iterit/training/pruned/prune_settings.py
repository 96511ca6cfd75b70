"""Holds what is pruned of a model, and how it is aligned. It is light to import: options are made from it."""

from dataclasses import dataclass

from debias.errors import ParameterError
from debias.settings import Settings, setting

RULES = ("weights", "random", "activations")


@dataclass(frozen=True)
class PruneSettings(Settings):
    """How a model is pruned.

    Parameters
    ----------
    rule : {"weights", "random", "activations"}, default="weights"
        What the parts that are kept have most of: the size of weights, luck, or the size of what
        weights make of given texts.
    share : float, default=0.5
        Share of the neurons of a layer that are pruned.
    head_share : float, optional
        Share of the heads of keys and values that are pruned, with the queries that share them; that of
        the neurons by default. At least one neuron and one head are kept.
    keep_first, keep_last : int, default=4 and 2
        Layers at the beginning and at the end that are kept whole.
    seed : int, default=0
        Of the rule "random".

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> PruneSettings(share=0.75).shares
    (0.75, 0.75)
    >>> PruneSettings(share=1.0)
    Traceback (most recent call last):
    debias.errors.ParameterError: share must be a number from 0 to 0.99, got 1.0.
    """

    rule: str = setting(
        "weights",
        "Which parts to keep: those with the largest weights, those with the largest products of weights "
        "and activations on the given texts, or random ones.",
        one_of=RULES,
    )
    share: float = setting(0.5, "Share of the neurons in a layer to prune.", least=0, most=0.99)
    head_share: float | None = setting(
        None,
        "Share of the key-value heads to prune, with their queries; that of the neurons by default.",
        least=0,
        most=0.99,
    )
    keep_first: int = setting(4, "Number of layers at the beginning that are kept whole.", least=0)
    keep_last: int = setting(2, "Number of layers at the end that are kept whole.", least=0)
    seed: int = setting(0, "Random seed of --rule random.", least=0)

    @property
    def shares(self) -> tuple[float, float]:
        """Shares of neurons and of heads."""
        return self.share, self.share if self.head_share is None else self.head_share

    def prunes(self, layer: int, n_layers: int) -> bool:
        """Whether a layer is pruned.

        Examples
        --------
        >>> [PruneSettings(keep_first=1, keep_last=1).prunes(layer, 3) for layer in range(3)]
        [False, True, False]
        """
        return self.keep_first <= layer < n_layers - self.keep_last

    def check_layers(self, n_layers: int) -> None:
        """Raise ParameterError where parts are to be pruned, and every layer is kept whole."""
        if any(self.shares) and self.keep_first + self.keep_last >= n_layers:
            raise ParameterError(
                f"the model has {n_layers} layers, and the first {self.keep_first} and the last"
                f" {self.keep_last} are kept whole: nothing is left to prune",
                parameter="keep_first",
                received=self.keep_first,
                allowed=f"with keep_last, fewer than {n_layers}",
            )


@dataclass(frozen=True)
class AlignmentSettings(Settings):
    """How a pruned model is trained on general text.

    Parameters
    ----------
    learning_rate : float, default=5e-5
        Falls as a cosine.
    epochs : int, default=1
        Passes over the text.
    block_tokens : int, default=512
        Tokens of a block.
    batch_size : int, default=4
        Blocks per process and batch.
    gradient_accumulation : int, default=4
        Batches per step.
    bf16 : bool, default=False
        Whether to train in mixed precision.
    device : str, default="auto"
        "cpu" uses no accelerator.

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> AlignmentSettings(epochs=0)
    Traceback (most recent call last):
    debias.errors.ParameterError: epochs must be a positive integer, got 0.
    """

    learning_rate: float = setting(5e-5, "Learning rate for the text of --align.", above=0)
    epochs: int = setting(1, "Number of epochs over the text of --align.", least=1)
    block_tokens: int = setting(512, "Number of tokens in a block of text.", least=2)
    batch_size: int = setting(4, "Batch size per process, in blocks.", least=1)
    gradient_accumulation: int = setting(4, "Number of batches per step.", least=1)
    bf16: bool = setting(False, "Train in mixed precision.")
    device: str = setting("auto", "auto or cpu.", one_of=("auto", "cpu"))
