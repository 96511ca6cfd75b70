"""Puts requests to an LLM of vLLM and reads raw log-probabilities out of its answers.

What the installed version can do is found out by trying: parameters that it does not know, or that
its model runner refuses, are replaced by older ones. An answer that lacks a number is asked for
once more, and is an error then.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from debias.errors import EngineError
from debias.inference.engine import FloatArray
from debias.inference.models.loading import first_line
from debias.inference.vllm.vllm_requests import Piece, Request, in_whole_prompts, reads_cache_safely
from debias.inference.votes.sampling import Asked, OnAnswers, Sampling, runs

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest

_FAR_APART = 0.5
"""More than rounding to bfloat16 can put between two ways to ask for one log-probability."""
_NOT_REFUSED = ("NoneType", "EngineDeadError")
_LARGEST = 1e-3
"""Log-probabilities are not positive, but for rounding."""


@dataclass(frozen=True)
class Ways:
    """How an LLM is asked.

    Parameters
    ----------
    successors : {"logprob_token_ids", "logprobs"}
        How given tokens are scored as what follows a prompt: by their ids, or looked up among the
        most probable ones.
    scored : {"prompt_logprob_token_ids", "prompt_logprobs", "none"}
        How the last tokens of a prompt are scored: as a span, with the whole prompt, or not at
        all, so that every token of a text is a request of its own.
    refused : dict
        What was tried and refused, and in which words.
    """

    successors: str = "logprob_token_ids"
    scored: str = "prompt_logprob_token_ids"
    refused: dict[str, str] = field(default_factory=dict)


class Asker:
    """Asks an LLM for log-probabilities.

    Parameters
    ----------
    llm : vllm.LLM
    describe : callable
        From token ids to a text, for messages.

    Attributes
    ----------
    block : int
        Tokens of a block of the prefix cache, 0 where there is none.
    one_by_one : bool
        Whether requests that score their prompt are put one at a time: with room for adapters, vLLM
        0.32 maps the output layer's adapter to one position per request, and two prompts that are
        scored together end its engine.
    n_asked_again : int
        Requests whose first answer lacked a number.
    """

    def __init__(self, llm: "LLM", describe: Callable[[Sequence[int]], str]) -> None:
        self.llm = llm
        self.describe = describe
        self.n_asked_again = 0
        cache = llm.llm_engine.vllm_config.cache_config
        self.one_by_one = llm.llm_engine.vllm_config.lora_config is not None
        self.block = int(cache.block_size or 0) if cache.enable_prefix_caching else 0
        self.most_logprobs = int(llm.llm_engine.model_config.max_logprobs)

    @cached_property
    def ways(self) -> Ways:
        """How the LLM is asked, found out by trying at first use."""
        return self._find_ways()

    def answer(self, requests: Sequence[Request], adapter: "LoRARequest | None" = None) -> list[FloatArray]:
        """Log-probabilities of every request, in the order of its edges.

        Requests that score tokens of their prompt and those that do not go in batches of their own.

        Parameters
        ----------
        requests : sequence of Request, length n
        adapter : vllm LoRARequest, optional

        Returns
        -------
        list of n float64 arrays

        Raises
        ------
        EngineError
            When vLLM gives no answer, or twice one that lacks a log-probability.
        """
        answers: dict[int, FloatArray] = {}
        for again in (False, True):
            for scores in (False, True):
                places = [
                    place
                    for place, request in enumerate(requests)
                    if place not in answers and bool(request.n_scored) is scores
                ]
                self.n_asked_again += len(places) if again else 0
                size = 1 if scores and self.one_by_one else len(places)
                for start in range(0, len(places), size or 1):
                    answers |= self._batch(places[start : start + size], requests, adapter, again)
        for place, request in enumerate(requests):
            if place not in answers:
                raise self._incomplete(request)
        return [answers[place] for place in range(len(requests))]

    def _batch(
        self, places: Sequence[int], requests: Sequence[Request], adapter: "LoRARequest | None", again: bool
    ) -> dict[int, FloatArray]:
        """Ask for some of the requests in one batch; return the answers that are whole."""
        own = [requests[place] for place in places]
        parameters = [self._parameters(request, self.ways, again) for request in own]
        found = {}
        for place, request, output in zip(
            places, own, self._generate([one.tokens for one in own], parameters, adapter), strict=True
        ):
            numbers = read_answer(request, output, self.ways)
            if numbers is not None:
                found[place] = numbers
        return found

    def _incomplete(self, request: Request) -> EngineError:
        """Return the error of a request that vLLM has not answered in full."""
        hint = (
            "build the LLM with max_logprobs=-1, or install a newer vllm"
            if self.ways.successors == "logprobs"
            else "install another version of vllm, or use TransformersEngine"
        )
        end = self.describe(request.tokens)[-60:]
        return EngineError(
            f"vLLM has twice omitted a log-probability for the prompt that ends {end!r}",
            received=end,
            fix=hint,
        )

    def _parameters(self, request: Request, ways: Ways, again: bool = False) -> "SamplingParams":
        """SamplingParams of a request; asked again, nothing is read from the prefix cache."""
        from vllm import SamplingParams

        safe = reads_cache_safely(len(request.tokens), request.n_scored, self.block)
        values: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0, "detokenize": False}
        if ways.successors == "logprob_token_ids":
            values["logprob_token_ids"] = list(request.successors)
        else:
            values["logprobs"] = self.most_logprobs
        skip = again
        if request.n_scored and ways.scored == "prompt_logprob_token_ids":
            last = request.tokens[-request.n_scored :]
            values["prompt_logprob_token_ids"] = np.array(last, dtype=np.int64)[:, None]
            values["prompt_logprob_start"] = len(request.tokens) - request.n_scored - 1
            skip = again or not safe
        elif request.n_scored:
            values["prompt_logprobs"] = 0
            skip = True
        if "skip_reading_prefix_cache" in inspect.signature(SamplingParams).parameters:
            values["skip_reading_prefix_cache"] = skip
        return SamplingParams(**values)

    def draw(
        self,
        asked: Sequence[Asked],
        contexts: Sequence[list[int]],
        sampling: Sampling,
        on_answers: OnAnswers | None = None,
        adapter: "LoRARequest | None" = None,
    ) -> list[list[str]]:
        """Draw answers to prompts; the n answers of a request have its seed, and one more each.

        Parameters
        ----------
        asked : sequence of Asked, length n
        contexts : sequence of lists of int, length n
            The tokens of the prompts.
        sampling : Sampling
        on_answers : callable, optional
        adapter : vllm LoRARequest, optional

        Returns
        -------
        list of n lists of str
        """
        from vllm import SamplingParams

        pieces = [Piece(place, *run) for place, one in enumerate(asked) for run in runs(one.numbers)]
        found: list[dict[int, str]] = [{} for _ in asked]
        lengths = [len(tokens) for tokens in contexts]
        for batch in in_whole_prompts(pieces, lengths, self._tokens_of_a_step(lengths)):
            parameters = [
                SamplingParams(
                    n=count,
                    seed=sampling.seed_of(asked[place].prompt, first),
                    temperature=sampling.temperature,
                    max_tokens=sampling.max_tokens,
                )
                for place, first, count in batch
            ]
            outputs = self._generate([contexts[piece.place] for piece in batch], parameters, adapter)
            for (place, first, count), output in zip(batch, outputs, strict=True):
                texts = {first + int(one.index): str(one.text) for one in output.outputs}
                if sorted(texts) != list(range(first, first + count)):
                    raise EngineError(f"vLLM gave {len(texts)} answers of {count}", fix="make a new LLM")
                found[place] |= texts
        if on_answers is not None:
            for place, own in enumerate(found):
                on_answers(place, own)
        return [[own[number] for number in one.numbers] for one, own in zip(asked, found, strict=True)]

    def _tokens_of_a_step(self, lengths: Sequence[int]) -> int | None:
        """Return the tokens that vLLM computes at once on a CPU, where prompts must be whole.

        Raises
        ------
        EngineError
            A prompt is longer.
        """
        config = self.llm.llm_engine.vllm_config
        if config.device_config.device_type != "cpu":
            return None
        most = int(config.scheduler_config.max_num_batched_tokens)
        if max(lengths, default=0) > most:
            raise EngineError(
                f"on a CPU, vLLM can sample answers with seeds only for prompts of up to {most:,} tokens "
                f"(max_num_batched_tokens), but one has {max(lengths):,}",
                received=max(lengths),
                allowed=f"prompts of up to {most:,} tokens",
                fix=f"make the LLM with max_num_batched_tokens={max(lengths)} or more",
            )
        return most

    def _generate(
        self,
        texts: Sequence[Sequence[int]],
        parameters: "list[SamplingParams]",
        adapter: "LoRARequest | None",
    ) -> "list[RequestOutput]":
        """Let vLLM compute, and leave nothing behind in its queue when that fails."""
        if self.llm.llm_engine.has_unfinished_requests():
            raise EngineError(
                "the LLM has unfinished requests from elsewhere",
                fix="let them finish (llm.wait_for_completion()) before requesting probabilities",
            )
        prompts = [{"prompt_token_ids": list(tokens)} for tokens in texts]
        try:
            outputs = self.llm.generate(prompts, parameters, use_tqdm=False, lora_request=adapter)
        except Exception as error:
            self._drop_unfinished()
            raise EngineError(
                f"vLLM gave no answer: {_named_line(error)}; its output may say more",
                fix="if its engine has died, make a new one",
            ) from error
        except BaseException:
            self._drop_unfinished()
            raise
        if len(outputs) != len(texts):
            raise EngineError(
                f"vLLM gave {len(outputs)} answers to {len(texts)} requests", fix="make a new LLM"
            )
        return list(outputs)

    def _drop_unfinished(self) -> None:
        """Take what was interrupted out of the queue, so that later answers are not mixed with it."""
        engine = self.llm.llm_engine
        waiting = list(engine.output_processor.request_states)
        if waiting:
            engine.abort_request(waiting, internal=True)

    def _find_ways(self) -> Ways:
        """Try newer parameters before older ones, on a prompt of four tokens."""
        refused: dict[str, str] = {}
        first, rest = (1, 2), (3, 4)
        expected = np.empty(0)
        for successors in ("logprob_token_ids", "logprobs"):
            root = Ways(successors, "none")
            found = [
                self._try(Request(first + rest[:n], 0, rest[n : n + 1], (0,)), root, successors, refused)
                for n in range(len(rest))
            ]
            if all(one is not None for one in found):
                expected = np.concatenate([one for one in found if one is not None])
                break
        # Among the most probable tokens, those of the trial may be missing: then it decides nothing.
        for scored in ("prompt_logprob_token_ids", "prompt_logprobs"):
            request = Request(first + rest, len(rest), (5,), tuple(range(len(rest) + 1)))
            one = self._try(request, Ways(successors, scored), scored, refused)
            if one is None:
                continue
            if np.abs(one[: len(expected)] - expected).max(initial=0.0) < _FAR_APART:
                return Ways(successors, scored, refused)
            refused[scored] = f"gave {one.round(2).tolist()} where {expected.round(2).tolist()} was due"
        return Ways(successors, "none", refused)

    def _try(self, request: Request, ways: Ways, name: str, refused: dict[str, str]) -> FloatArray | None:
        """Return the answer to one request asked in one way; without one, note why."""
        try:
            (output,) = self._generate([request.tokens], [self._parameters(request, ways, again=True)], None)
        except (TypeError, ValueError, EngineError) as error:
            # Requests of others in the queue, or an engine that has died, say nothing about the way.
            if isinstance(error, EngineError) and type(error.__cause__).__name__ in _NOT_REFUSED:
                raise
            refused[name] = _named_line(error.__cause__ or error)
            return None
        answer = read_answer(request, output, ways)
        if answer is None:
            refused[name] = "omitted a log-probability"
        return answer


def read_answer(request: Request, output: "RequestOutput", ways: Ways) -> FloatArray | None:
    """Log-probabilities of a request in the order of its edges, or None where one is missing.

    Parameters
    ----------
    request : Request
    output : vllm RequestOutput
    ways : Ways

    Returns
    -------
    float64 array or None
    """
    values = [*_scored(request, output, ways.scored), *_successors(request, output)]
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    whole = len(numbers) == len(request.edges) and bool(np.isfinite(numbers).all())
    return np.minimum(numbers, 0.0) if whole and bool((numbers < _LARGEST).all()) else None


def _successors(request: Request, output: "RequestOutput") -> Iterator[float | None]:
    """Log-probability of each token as what follows the prompt."""
    positions = output.outputs[0].logprobs if output.outputs else None
    entries = positions[0] if positions else {}
    for token in request.successors:
        entry = entries.get(token)
        yield None if entry is None else entry.logprob


def _scored(request: Request, output: "RequestOutput", scored: str) -> Iterator[float | None]:
    """Log-probability of each of the prompt's last tokens."""
    if not request.n_scored:
        return
    last = request.tokens[-request.n_scored :]
    if scored == "prompt_logprob_token_ids":
        span = getattr(output, "prompt_token_id_logprobs", None)
        yield from [None] * len(last) if span is None else np.asarray(span)[:, 0].tolist()
        return
    positions = output.prompt_logprobs or []
    if len(positions) != len(request.tokens):
        yield from [None] * len(last)
        return
    for token, entries in zip(last, positions[-len(last) :], strict=True):
        entry = (entries or {}).get(token)
        yield None if entry is None else entry.logprob


def _named_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    line, name = first_line(error), type(error).__name__
    return name if line == name else f"{name}: {line}"
