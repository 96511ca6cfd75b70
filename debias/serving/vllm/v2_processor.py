"""A logits processor for vLLM's V2 model runner, where requests have slots and rows come in any order."""

from typing import Any

from debias.errors import ParameterError
from debias.serving.vllm.answer_logits import AnswerCorrection, correct_rows, prepare
from debias.serving.vllm.request_checks import check_request, offers_here, tokenizer_of

try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor
except ImportError:  # without vLLM, or with a release that has no such interface
    LogitsProcessor = object


class V2Processor(LogitsProcessor):
    """Corrects the first token of answers, in vLLM's V2 model runner.

    Start vLLM with ``--logits-processors debias.serving.vllm:V2Processor``, and the environment variable
    ``DEBIAS_CORRECTIONS`` set. A request asks for a correction by its name:
    ``extra_args={"debias_correction": "trec"}``, or ``vllm_xargs`` over HTTP.

    Parameters
    ----------
    vllm_config : vllm.config.VllmConfig
    req_states : vllm LogitsProcRequestState

    Raises
    ------
    ParameterError, CorrectionFileError, LabelError, ModelError
        A correction cannot be offered: all are read and checked before the engine takes requests. Or the
        engine decodes speculatively, which is not supported.
    """

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        if vllm_config.speculative_config is not None:
            raise ParameterError(
                parameter="speculative_config",
                allowed="None: corrections are not applied to speculative decoding",
                received=vllm_config.speculative_config,
            )
        self._offers = offers_here()
        tokenizer = tokenizer_of(vllm_config)
        self._corrections = {name: prepare(offer, tokenizer) for name, offer in self._offers.by_name.items()}
        self._states = req_states
        self._by_slot: dict[int, AnswerCorrection] = {}

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raise where a request cannot be corrected as it stands; see :func:`check_request`."""
        check_request(sampling_params, offers_here())

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Note what a request wants; nothing stays of the one that had its slot before.

        Parameters
        ----------
        req_idx : int
            Its slot.
        sampling_params : vllm.SamplingParams

        Returns
        -------
        bool
            Whether it is to be corrected.
        """
        self._by_slot.pop(req_idx, None)
        name = self._offers.name_for(sampling_params.extra_args)
        if name is not None:
            self._by_slot[req_idx] = self._corrections[name]
        return name is not None

    def apply(self, logits: Any, ctx: Any) -> Any:
        """Correct the rows whose next token is the first one after the prompt.

        Parameters
        ----------
        logits : torch.Tensor of shape (n_rows, vocabulary)
        ctx : vllm LogitsContext
            Which slot each row belongs to, and how many tokens precede what is sampled.

        Returns
        -------
        torch.Tensor
            The same one, changed in place.
        """
        prompts = self._states.prompt_len.np
        seen = zip(ctx.idx_mapping_np.tolist(), ctx.seq_lens_upper_bound_np.tolist(), strict=True)
        if not any(slot in self._by_slot and length == prompts[slot] for slot, length in seen):
            return logits  # known without waiting for the device
        rows = enumerate(zip(ctx.expanded_idx_mapping.tolist(), ctx.pos.tolist(), strict=True))
        due = {
            row: self._by_slot[slot]
            for row, (slot, position) in rows
            if slot in self._by_slot and position + 1 == prompts[slot]
        }
        if due:
            correct_rows(logits, due)
        return logits
