"""A logits processor for vLLM's V1 model runner, where a row of logits is a place in the batch."""

from typing import Any

from debias.serving.vllm.answer_logits import AnswerCorrection, correct_rows, prepare
from debias.serving.vllm.request_checks import check_request, offers_here, tokenizer_of

try:
    from vllm.v1.sample.logits_processor import LogitsProcessor
except ImportError:  # without vLLM, or with a release that has no such interface
    LogitsProcessor = object


class V1Processor(LogitsProcessor):
    """Corrects the first token of answers, in vLLM's V1 model runner.

    Start vLLM with ``--logits-processors debias.serving.vllm:V1Processor``, and the environment variable
    ``DEBIAS_CORRECTIONS`` set. A request asks for a correction by its name:
    ``extra_args={"debias_correction": "trec"}``, or ``vllm_xargs`` over HTTP.

    Parameters
    ----------
    vllm_config : vllm.config.VllmConfig
    device : torch.device
    is_pin_memory : bool

    Raises
    ------
    ParameterError, CorrectionFileError, LabelError, ModelError
        A correction cannot be offered: all are read and checked before the engine takes requests.
    """

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        self._offers = offers_here()
        tokenizer = tokenizer_of(vllm_config)
        self._corrections = {name: prepare(offer, tokenizer) for name, offer in self._offers.by_name.items()}
        self._by_place: dict[int, tuple[AnswerCorrection, list[int]]] = {}

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raise where a request cannot be corrected as it stands; see :func:`check_request`."""
        check_request(sampling_params, offers_here())

    def is_argmax_invariant(self) -> bool:
        """Return False: it changes which token is the most probable."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow requests that leave the batch, enter it, and move to another place, in this order.

        Parameters
        ----------
        batch_update : vllm BatchUpdate or None
        """
        if batch_update is None:
            return
        for place in batch_update.removed:
            self._by_place.pop(place, None)
        for place, parameters, _, output in batch_update.added:
            self._by_place.pop(place, None)  # of the request that was there before
            name = self._offers.name_for(parameters.extra_args)
            if name is not None:
                self._by_place[place] = (self._corrections[name], output)
        for origin, target, direction in batch_update.moved:
            moved, replaced = self._by_place.pop(origin, None), self._by_place.pop(target, None)
            if moved is not None:
                self._by_place[target] = moved
            if replaced is not None and direction.name == "SWAP":
                self._by_place[origin] = replaced

    def apply(self, logits: Any) -> Any:
        """Correct the rows of requests that have no output yet.

        Parameters
        ----------
        logits : torch.Tensor of shape (n_requests, vocabulary)

        Returns
        -------
        torch.Tensor
            The same one, changed in place.
        """
        due = {place: correction for place, (correction, output) in self._by_place.items() if not output}
        if due:
            correct_rows(logits, due)
        return logits
