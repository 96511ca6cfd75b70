"""Checks of a request before it is queued: vLLM calls them in the process that takes requests."""

from functools import cache
from typing import Any

from debias.errors import ParameterError
from debias.serving.vllm.offered_corrections import Offers, read_offers

offers_here = cache(read_offers)
"""Offers of this process; read once, as the process that computes does."""


def check_request(parameters: Any, offers: Offers) -> None:
    """Raise where a request cannot be corrected as it stands.

    Parameters
    ----------
    parameters : vllm.SamplingParams
    offers : Offers

    Raises
    ------
    ParameterError
        It names a correction that is not offered, or changes the probabilities that the correction is for.
    """
    if offers.name_for(parameters.extra_args) is None:
        return
    if parameters.repetition_penalty != 1.0:
        raise ParameterError(
            parameter="repetition_penalty",
            allowed="1 for a corrected answer, since it changes labels that occur in the prompt",
            received=parameters.repetition_penalty,
        )
    if parameters.logit_bias:
        raise ParameterError(
            parameter="logit_bias",
            allowed="omitted for a corrected answer, which is for the probabilities of the model alone",
            received=parameters.logit_bias,
        )


def tokenizer_of(config: Any) -> Any:
    """Return the tokenizer of an engine.

    Parameters
    ----------
    config : vllm.config.VllmConfig

    Raises
    ------
    ParameterError
        The engine has none.
    """
    model = config.model_config
    if model.skip_tokenizer_init:
        raise ParameterError(
            parameter="skip_tokenizer_init",
            allowed="False: the labels of a correction need the tokenizer",
            received=True,
        )
    try:
        from vllm.tokenizers import cached_tokenizer_from_config
    except ImportError:  # a release that keeps it elsewhere
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(
            model.tokenizer, revision=model.tokenizer_revision, trust_remote_code=model.trust_remote_code
        )
    return cached_tokenizer_from_config(model)
