"""Both processors in random batches, against what each request should get: requests come, go and move.

Without vLLM their base class is missing, which they do not need here. The batches keep vLLM's own books:
places that are refilled and moved (V1), slots that are recycled and rows in any order (V2). `make test-vllm`
runs both inside the real thing.
"""

import random
from enum import Enum, auto
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from debias.corrections.correction import Triangle, Weight
from debias.errors import LabelError, ParameterError
from debias.serving.served_correction import load
from debias.serving.vllm import V1Processor, V2Processor
from debias.serving.vllm.answer_logits import AnswerCorrection
from debias.serving.vllm.first_tokens import first_tokens
from debias.serving.vllm.request_checks import offers_here
from tests.support.correction_files import write_correction_file
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer

CORRECTIONS = {
    "one": {"Number": Weight(1, 30), "good": Triangle(0, 0, 0.5), "planets": Triangle(0, 1, 1)},
    "two": {"good": Triangle(0.9, 1, 1), "the": Triangle(0.95, 1, 1)},
}
VOCABULARY = 320
OUTPUTS = 3


class Direction(Enum):
    """As vLLM names how a request moves."""

    UNIDIRECTIONAL = auto()
    SWAP = auto()


@pytest.fixture
def config(tmp_path, monkeypatch):
    """What a processor reads of an engine's configuration."""
    byte_tokenizer().save_pretrained(tmp_path / "model")
    for name, corrections in CORRECTIONS.items():
        write_correction_file(tmp_path / f"{name}.json", corrections)
    table = tmp_path / "served.toml"
    table.write_text("[one]\nfile = 'one.json'\n[two]\nfile = 'two.json'\n", encoding="utf-8")
    monkeypatch.setenv("DEBIAS_CORRECTIONS", str(table))
    monkeypatch.delenv("DEBIAS_DEFAULT_CORRECTION", raising=False)
    offers_here.cache_clear()
    model = SimpleNamespace(
        tokenizer=str(tmp_path / "model"),
        tokenizer_revision=None,
        tokenizer_mode="auto",
        runner_type="generate",
        trust_remote_code=False,
        skip_tokenizer_init=False,
        hf_config=None,
    )
    yield SimpleNamespace(model_config=model, speculative_config=None)
    offers_here.cache_clear()


@pytest.fixture
def ready(tmp_path, config):
    """The corrections, read here once more."""
    found = {}
    for name, corrections in CORRECTIONS.items():
        tokens = first_tokens(byte_tokenizer(), [f" {label}" for label in corrections])
        found[name] = AnswerCorrection(load(tmp_path / f"{name}.json"), tokens)
    return found


class Request:
    """A request of a random batch."""

    def __init__(self, draw):
        self.name = draw.choice([None, "one", "two"])
        self.prompt = draw.randint(1, 9)
        self.read = 0
        self.output = []
        arguments = {"debias_correction": self.name} if self.name else draw.choice([None, {"other": 1}])
        self.parameters = SimpleNamespace(extra_args=arguments, repetition_penalty=1.0, logit_bias=None)


def random_logits(draw, n_rows):
    """Logits with ties and masked tokens."""
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    logits = torch.randn(n_rows, VOCABULARY, generator=generator).mul(3).round(decimals=0)
    return logits.masked_fill(torch.rand(logits.shape, generator=generator) < 0.3, float("-inf"))


def expected_row(row, request, is_first, ready):
    """Return what a row of logits should become."""
    if request.name is None or not is_first:
        return row
    correction = ready[request.name]
    found = row[list(correction.tokens)]
    if torch.isneginf(found).all():
        return row
    new = torch.full_like(row, float("-inf"))
    new[list(correction.tokens)] = torch.from_numpy(correction.logits(found[None].numpy())[0])
    return new


@pytest.mark.parametrize("seed", range(5))
def test_requests_of_a_v1_batch_that_come_go_and_move(seed, config, ready):
    draw = random.Random(seed)
    processor = V1Processor(config, torch.device("cpu"), False)
    assert not processor.is_argmax_invariant()
    places = []
    n_corrected = n_other = 0
    for _ in range(150):
        holes = [
            place for place, one in enumerate(places) if len(one.output) >= OUTPUTS or draw.random() < 0.05
        ]
        added, moved = [], []
        for _ in range(draw.randint(0, 3)):  # new requests fill the lowest holes first
            request, place = Request(draw), holes.pop(0) if holes else len(places)
            if draw.random() < 0.1:
                request.output = [7]  # it was pre-empted after its first token, and comes back
            places[place : place + 1] = [request]
            added.append((place, request.parameters, [1] * request.prompt, request.output))
        removed = sorted(holes, reverse=True)
        while holes:  # then the last requests of the batch do
            last = len(places) - 1
            if last in holes:
                holes.remove(last)
                places.pop()
                continue
            hole = holes.pop(0)
            removed.remove(hole)
            places[hole] = places.pop()
            moved.append((last, hole, Direction.UNIDIRECTIONAL))
        if len(places) > 1 and draw.random() < 0.5:
            a, b = draw.sample(range(len(places)), 2)
            places[a], places[b] = places[b], places[a]
            moved.append((a, b, Direction.SWAP))
        update = SimpleNamespace(batch_size=len(places), removed=removed, added=added, moved=moved)
        processor.update_state(update if removed or added or moved else None)
        if not places:
            continue
        logits = random_logits(draw, len(places))
        wanted = [
            expected_row(row, one, not one.output, ready)
            for row, one in zip(logits.clone(), places, strict=True)
        ]
        n_corrected += sum(not torch.equal(a, b) for a, b in zip(logits, wanted, strict=True))
        n_other += sum(bool(one.name and one.output) for one in places)
        assert torch.equal(processor.apply(logits), torch.stack(wanted))
        for one in places:
            one.output.append(draw.choice([5, -1]))  # a token, or one that is not known yet
    assert n_corrected > 20 and n_other > 20


@pytest.mark.parametrize("seed", range(5))
def test_requests_of_v2_slots_that_are_recycled(seed, config, ready):
    draw = random.Random(seed)
    n_slots = 6
    lengths = np.zeros(n_slots, dtype=np.int32)
    processor = V2Processor(config, SimpleNamespace(prompt_len=SimpleNamespace(np=lengths)))
    slots, free = {}, list(range(n_slots))
    n_corrected = n_other = 0
    for _ in range(200):
        for slot in [slot for slot, one in slots.items() if len(one.output) >= OUTPUTS]:
            slots.pop(slot)
            free.append(slot)
        while free and draw.random() < 0.6:
            request, slot = Request(draw), free.pop()
            slots[slot] = request
            lengths[slot] = request.prompt
            if draw.random() < 0.1:
                request.output = [7]
            wants = processor.add_request(slot, request.parameters)
            assert wants == (request.name is not None)
        processor.apply_staged_writes() if hasattr(processor, "apply_staged_writes") else None
        batch = draw.sample(sorted(slots), draw.randint(0, len(slots)))
        if not batch:
            continue
        for slot in batch:  # prompts are read in parts; then every output is read with them
            whole = slots[slot].prompt + len(slots[slot].output)
            slots[slot].read = min(whole, slots[slot].read + draw.randint(1, 6))
        read = np.array([slots[slot].read for slot in batch])
        ctx = SimpleNamespace(
            expanded_idx_mapping=torch.tensor(batch),
            idx_mapping=torch.tensor(batch),
            idx_mapping_np=np.array(batch),
            seq_lens_upper_bound_np=read,
            pos=torch.from_numpy(read - 1),
        )
        logits = random_logits(draw, len(batch))
        first = [slots[slot].read == slots[slot].prompt for slot in batch]
        wanted = [
            expected_row(row, slots[slot], is_first, ready)
            for row, slot, is_first in zip(logits.clone(), batch, first, strict=True)
        ]
        n_corrected += sum(not torch.equal(a, b) for a, b in zip(logits, wanted, strict=True))
        n_other += sum(bool(slots[slot].name) and not one for slot, one in zip(batch, first, strict=True))
        assert torch.equal(processor.apply(logits, ctx), torch.stack(wanted))
        for slot in batch:
            request = slots[slot]
            if request.read == request.prompt + len(request.output):
                request.output.append(5)
    assert n_corrected > 20 and n_other > 20


def test_a_correction_for_all_requests(config, ready, monkeypatch):
    monkeypatch.setenv("DEBIAS_DEFAULT_CORRECTION", "two")
    offers_here.cache_clear()
    processor = V1Processor(config, torch.device("cpu"), False)
    parameters = [SimpleNamespace(extra_args=one) for one in (None, {"debias_correction": "none"})]
    added = [(place, one, [1], []) for place, one in enumerate(parameters)]
    processor.update_state(SimpleNamespace(removed=[], added=added, moved=[]))
    logits = torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    processor.apply(logits)
    assert torch.equal(logits[1], before[1])
    assert sorted(torch.nonzero(~torch.isneginf(logits[0])).ravel().tolist()) <= sorted(ready["two"].tokens)


@pytest.mark.parametrize("make", [V1Processor, V2Processor], ids=["V1", "V2"])
def test_what_an_engine_is_refused_for(make, config, tmp_path, monkeypatch):
    states = [torch.device("cpu"), False] if make is V1Processor else [SimpleNamespace()]
    make(config, *states)
    with refused(ParameterError, parameter="debias_correction", received="three", mentions=("one", "two")):
        make.validate_params(SimpleNamespace(extra_args={"debias_correction": "three"}))
    config.model_config.skip_tokenizer_init = True
    with refused(ParameterError, parameter="skip_tokenizer_init"):
        make(config, *states)
    config.model_config.skip_tokenizer_init = False
    write_correction_file(tmp_path / "two.json", {"Number": Weight(1, 2), "Number of": Weight(1, 2)})
    with refused(LabelError, received=(" Number", " Number of"), file=str(tmp_path / "two.json")):
        make(config, *states)
    monkeypatch.delenv("DEBIAS_CORRECTIONS")
    offers_here.cache_clear()
    with refused(ParameterError, parameter="DEBIAS_CORRECTIONS"):
        make(config, *states)


def test_speculative_decoding_is_refused(config):
    config.speculative_config = "draft"
    with refused(ParameterError, parameter="speculative_config", received="draft"):
        V2Processor(config, SimpleNamespace())


def test_no_processor_is_an_entry_point():
    """A V1 class there would stop every V2 engine of the machine."""
    from importlib.metadata import entry_points

    assert not [one for one in entry_points(group="vllm.logits_processors") if "debias" in one.value]
