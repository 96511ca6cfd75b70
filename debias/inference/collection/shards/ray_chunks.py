"""Chunks answered by the workers of a Ray cluster, each of which holds an engine (Ray Data, ``map_batches``).

The driver cuts rows into the chunks of one run, so that the table is the same; workers get Arrow tables and
return keys and columns of floats. Ray asks the chunk of a lost worker again.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from debias.console.progress import counted_progress
from debias.errors import EngineError, MissingDependencyError, ParameterError, param
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.questions import OtherRuns, Questions, lasting_facts
from debias.inference.collection.shards.dealing import deal
from debias.inference.collection.shards.ray_settings import RaySettings
from debias.inference.collection.shards.shard import Shard
from debias.inference.engine import Engine, FloatArray, LabelScores
from debias.inference.engine_settings import EngineSettings, open_engine

_MOST_BLOCKS = 10_000


class EngineWorker:
    """What a worker holds: an engine, opened once."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.engine = ExitStack().enter_context(open_engine(EngineSettings(**settings)))


class LabelWorker(EngineWorker):
    """Answers about labels: a chunk of prompts in, keys and log-probabilities out."""

    def __init__(self, settings: Mapping[str, Any], labels: Sequence[str]) -> None:
        super().__init__(settings)
        self.labels = list(labels)

    def __call__(self, batch: Any) -> Any:
        """Answer one chunk."""
        keys, prompts = batch["keys"][0].as_py(), batch["prompts"][0].as_py()
        scores = self.engine.label_scores(prompts, self.labels)
        bounds = np.zeros(scores.logprobs.shape, bool) if scores.is_bound is None else scores.is_bound
        facts = json.dumps(lasting_facts(self.engine))
        lists = {"logprobs": list(scores.logprobs), "is_bound": list(bounds)}
        return pa.table({"key": keys, **lists, "facts": [facts] * len(keys)})


def described(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an engine says about itself, in a worker."""
    engine = EngineWorker(settings).engine
    names = ("context_length", "fingerprint", "max_batch_tokens")
    found = {name: getattr(engine, name) for name in names if hasattr(engine, name)}
    return {**found, "versions": engine.versions(), "operations": engine.operations_per_token()}


class RayEngine(Engine):
    """An engine on the workers of a Ray cluster, for whole chunks; this process has its tokenizer only.

    Parameters
    ----------
    settings : EngineSettings
        What each worker holds: transformers or vllm.
    cluster : RaySettings

    Raises
    ------
    MissingDependencyError
        Ray is not installed.
    ParameterError
        The engine is a server, which can be asked from one machine.
    EngineError
        The cluster cannot be reached, or its workers cannot open the engine.
    """

    def __init__(self, settings: EngineSettings, cluster: RaySettings) -> None:
        if settings.engine == "openai":
            allowed, fix = "transformers or vllm", f"omit {param('ray')}: a single machine queries the server"
            raise ParameterError(parameter="engine", allowed=allowed, received="openai", fix=fix)
        self._ray, self.cluster, self.settings = _ray(cluster), cluster, asdict(settings)
        try:
            remote = self._ray.remote(num_cpus=1, num_gpus=cluster.ray_gpus)(described)
            self._said = self._ray.get(remote.remote(self.settings))
        except self._ray.exceptions.RayError as error:
            raise _failure(error) from error
        from debias.inference.models.loading import load_tokenizer
        from debias.inference.tokenization import Tokenization

        self.tokenizer = load_tokenizer(settings.tokenizer or settings.model)
        self._tokens = Tokenization(self.tokenizer)
        if "max_batch_tokens" in self._said:
            self.max_batch_tokens = self._said["max_batch_tokens"]

    context_length = property(lambda self: self._said["context_length"])
    fingerprint = property(lambda self: self._said["fingerprint"])

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        return self._tokens.encode(texts)

    def operations_per_token(self) -> float:
        """Return what a worker says."""
        return float(self._said["operations"])

    def versions(self) -> dict[str, str]:
        """Versions of the libraries that compute the answers."""
        return dict(self._said["versions"])

    def continuation_logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[FloatArray]:
        """Raise EngineError: single questions go to no cluster."""
        raise EngineError("an engine on a Ray cluster answers whole chunks only", fix=f"omit {param('ray')}")

    def run(
        self, worker: type[EngineWorker], chunks: Sequence[Mapping[str, Any]], **made: Any
    ) -> Iterator[Any]:
        """Yield what workers return for chunks, in any order, as Arrow tables."""
        size = -(-len(chunks) // _MOST_BLOCKS)
        blocks = [pa.Table.from_pylist(chunks[n : n + size]) for n in range(0, len(chunks), size)]
        data = self._ray.data.from_arrow(blocks).map_batches(
            worker,
            batch_size=1,
            batch_format="pyarrow",
            compute=self._ray.data.ActorPoolStrategy(size=min(self.cluster.ray_workers, len(blocks))),
            num_cpus=1,
            num_gpus=self.cluster.ray_gpus,
            fn_constructor_kwargs={"settings": self.settings, **made},
        )
        try:
            yield from data.iter_batches(batch_size=None, batch_format="pyarrow")
        except self._ray.exceptions.RayError as error:
            raise _failure(error) from error


def _ray(cluster: RaySettings) -> Any:
    """Return the library, connected to the cluster."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        fix = "run: pip install 'debias-iterit[ray]'"
        raise MissingDependencyError("ray is not installed", parameter="ray", fix=fix) from error
    try:
        address = None if cluster.ray == "local" else cluster.ray
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        elif cluster.ray not in ("auto", "local", ray.get_runtime_context().gcs_address):
            raise ConnectionError("this process is connected to another cluster already")
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        problem = f"the Ray cluster cannot be reached ({str(error).splitlines()[0][:200]})"
        raise EngineError(problem, parameter="ray", received=cluster.ray) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _failure(error: Exception) -> EngineError:
    """Return the error of a worker as ours."""
    last = str(error).strip().splitlines()[-1:] or [repr(error)]
    return EngineError(f"a worker of the Ray cluster failed: {last[0][:300]}")


def answer_ahead(
    engine: RayEngine,
    questions: Questions,
    rows: Iterable[Prompted],
    store: AnswerStore,
    others: OtherRuns,
    chunk_size: int,
) -> list[Prompted]:
    """Let the workers answer all chunks that are missing, and keep the answers as they come.

    Parameters
    ----------
    engine : RayEngine
    questions : Questions
    rows : iterable of Prompted
    store : AnswerStore
        Where answers go.
    others : OtherRuns
        Whose answers are not asked again.
    chunk_size : int

    Returns
    -------
    list of Prompted
        The rows.

    Raises
    ------
    EngineError, StorageError
        What was answered before is kept.
    """
    kept = list(rows)
    chunks: list[dict[str, list[Any]]] = []
    for dealt in deal(kept, Shard(1, 1), questions.missing(chunk_size), questions.before, chunk_size):
        known = store.find(list(dealt.asked))
        known |= others.find([key for key in dealt.asked if key not in known])
        missing = {key: prompt for key, prompt in dealt.asked.items() if key not in known}
        if missing:
            chunks.append({"keys": list(missing), "prompts": list(missing.values())})
    n_prompts = sum(len(one["keys"]) for one in chunks)
    with counted_progress("prompts on Ray", n_prompts) as advance:
        for table in engine.run(LabelWorker, chunks, labels=questions.labels) if chunks else ():
            logprobs, bounds = (np.array(table[name].to_pylist()) for name in ("logprobs", "is_bound"))
            values = questions.as_answers(LabelScores(logprobs, bounds), len(table))
            facts = json.loads(table["facts"][0].as_py())
            store.add(zip(table["key"].to_pylist(), values, strict=True), facts)
            advance(len(table))
    return kept


@contextmanager
def open_engine_or_cluster(settings: EngineSettings, cluster: RaySettings) -> Iterator[Engine]:
    """Open an engine here, or on the workers of a Ray cluster where one is named.

    Parameters
    ----------
    settings : EngineSettings
    cluster : RaySettings

    Yields
    ------
    Engine
    """
    if cluster.ray is not None:
        yield RayEngine(settings, cluster)
    else:
        with open_engine(settings) as engine:
            yield engine
