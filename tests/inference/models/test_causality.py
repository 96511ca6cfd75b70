"""Models that are not causal are refused: they would score the tokens that they read."""

import pytest
import torch
import transformers

from debias.errors import ModelError
from debias.inference.models.causality import check_causal
from debias.inference.transformers.transformers_engine import TransformersEngine
from tests.support.refusals import refused
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, tiny_model

BERT = transformers.BertConfig(
    vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48
)
T5 = transformers.T5Config(
    vocab_size=320, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4, decoder_start_token_id=0
)
OTHERS = {
    "BertLMHeadModel": BERT,
    "BertForMaskedLM": BERT,
    "BertForSequenceClassification": BERT,
    "BertModel": BERT,
    "T5ForConditionalGeneration": T5,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_causal_models_are_taken_and_left_as_they_were(name):
    model = tiny_model(name).train()
    before = torch.random.get_rng_state()
    check_causal(model)
    assert model.training and torch.equal(before, torch.random.get_rng_state())
    check_causal(model.to(torch.bfloat16))


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_refused_wherever_they_would_score(name):
    torch.manual_seed(0)
    model = getattr(transformers, name)(OTHERS[name])
    with refused(ModelError, parameter="model", received=name, fix=str):
        check_causal(model)
    if hasattr(model, "get_output_embeddings"):
        with refused(ModelError, parameter="model", received=name):
            TransformersEngine(model, byte_tokenizer())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_bert_is_found_out_in_low_precision(dtype):
    torch.manual_seed(0)
    config = transformers.BertConfig(**BERT.to_dict() | {"initializer_range": 0.3})
    with refused(ModelError, received="BertLMHeadModel"):
        check_causal(transformers.BertLMHeadModel(config).to(dtype))


def test_bert_as_a_decoder_is_causal():
    torch.manual_seed(0)
    check_causal(
        transformers.BertLMHeadModel(transformers.BertConfig(**BERT.to_dict() | {"is_decoder": True}))
    )
