"""Sends many small requests to a real vLLM with a processor: `python -m tests.support.vllm_batch`.

A process of its own, because vLLM reads its settings once. Its V2 model runner needs Triton, whose wheel has
no back end for CPUs: here Triton's interpreter computes the kernels of the sampler in NumPy.
"""

import json
import os
import sys
from typing import Any


def interpret_triton() -> None:
    """Have Triton interpret its kernels on the CPU, and vLLM find that it can."""
    os.environ["TRITON_INTERPRET"] = "1"
    import triton.backends as found

    class Interpreter:
        """Stands where vLLM looks for a driver."""

        @classmethod
        def is_active(cls) -> bool:
            return True

    found.backends.clear()
    found.backends["cpu"] = found.Backend(compiler=None, driver=Interpreter)


def ask(folder: str, interface: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tokens and log-probabilities, those of the model alone, of every request; refusals as texts."""
    from vllm import LLM, SamplingParams
    from vllm.exceptions import VLLMValidationError

    options: dict[str, Any] = {"distributed_executor_backend": "uni"} if interface == "V2" else {}
    llm = LLM(
        folder,
        enforce_eager=True,
        dtype="float32",
        max_model_len=128,
        max_num_seqs=5,
        max_num_batched_tokens=48,
        enable_chunked_prefill=True,
        enable_prefix_caching=False,
        logits_processors=[f"debias.serving.vllm:{interface}Processor"],
        **options,
    )
    assert llm.llm_engine.vllm_config.use_v2_model_runner == (interface == "V2")
    answers: list[dict[str, Any]] = [{} for _ in requests]
    taken, parameters = [], []
    for number, request in enumerate(requests):
        one = SamplingParams(temperature=0.0, **request["parameters"])
        try:
            llm.llm_engine.input_processor.validate_logits_processors_params(one)
        except VLLMValidationError as error:
            answers[number] = {"refused": str(error)}
        else:
            taken.append(number)
            parameters.append(one)
    outputs = llm.generate([requests[number]["prompt"] for number in taken], parameters, use_tqdm=False)
    for number, output in zip(taken, outputs, strict=True):
        answer = output.outputs[0]
        logprobs = {str(token): one.logprob for token, one in answer.logprobs[0].items()}
        answers[number] = {"tokens": list(answer.token_ids), "logprobs": logprobs}
    if interface == "V1":
        llm.llm_engine.engine_core.shutdown()
    return answers


if __name__ == "__main__":
    folder, interface, asked, answered = sys.argv[1:]
    os.environ |= {"VLLM_USE_V2_MODEL_RUNNER": "1" if interface == "V2" else "0", "HF_HUB_OFFLINE": "1"}
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    if interface == "V2":
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        interpret_triton()
    with open(asked, encoding="utf-8") as file:
        wanted = json.load(file)
    received = ask(folder, interface, wanted)
    with open(answered, "w", encoding="utf-8") as file:
        json.dump(received, file)
