"""A real Ray cluster of several node processes: the table of one machine, with a node killed on the way."""

import importlib.util
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from debias import TransformersEngine, collect
from debias.errors import EngineError, MissingDependencyError, ParameterError, ResumeError, StorageError
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.collection.run_folder import RunFolder
from debias.inference.collection.shards.ray_chunks import RayEngine
from debias.inference.collection.shards.ray_settings import RaySettings
from debias.inference.engine_settings import EngineSettings
from tests.support.paths import ROOT
from tests.support.plain_engine import LABELS, TASK
from tests.support.refusals import refused
from tests.support.tiny_models import byte_tokenizer, tiny_model

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = [
    pytest.mark.ray,
    pytest.mark.skipif(not HAS_RAY, reason="ray is not installed: make test-ray"),
    pytest.mark.filterwarnings("ignore"),
]
TEXTS = [f"text {number} " + "word " * (number % 7) for number in range(600)]
ALL_LABELS = LABELS * 10


def test_ray_has_settings_that_are_checked():
    with refused(ParameterError, parameter="ray_workers", received=2, fix=str):
        RaySettings(ray_workers=2)
    with refused(ParameterError, parameter="ray_gpus", received=1.0):
        RaySettings(ray_gpus=1.0)
    server = EngineSettings(engine="openai", model="m", base_url="http://127.0.0.1:1/v1")
    with refused(ParameterError, parameter="engine", received="openai", fix=str):
        RayEngine(server, RaySettings(ray="local"))


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_without_ray_the_extra_is_named():
    with refused(MissingDependencyError, parameter="ray", fix=str, mentions="debias-iterit[ray]"):
        RayEngine(EngineSettings(), RaySettings(ray="local"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny random model in a folder, as any user's model is."""
    path = tmp_path_factory.mktemp("model")
    tiny_model("qwen2").save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return EngineSettings(model=str(path), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def cluster():
    """A head and two nodes, each a process with room for one worker: a lost one has no other place."""
    from ray.cluster_utils import Cluster

    before, os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH"), str(ROOT)
    memory = {"object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **memory})
    made.nodes_of_workers = [made.add_node(num_cpus=1, **memory) for _ in range(2)]
    yield made
    import ray

    ray.shutdown()
    made.shutdown()
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@pytest.fixture(scope="module")
def engine(cluster, model):
    return RayEngine(model, RaySettings(ray=cluster.address, ray_workers=3))


def n_answers(out: Path) -> int:
    try:
        with AnswerStore(RunFolder.beside(out).store, read_only=True) as store:
            return len(store)
    except (StorageError, ResumeError):
        return 0


def one_machine(model, folder: Path) -> bytes:
    folder.mkdir()
    own = TransformersEngine(model.model, dtype="float32", device="cpu")
    out = folder / "whole.parquet"
    collect(own, TASK, TEXTS, ALL_LABELS, out=out, chunk_size=4, progress=False)
    return out.read_bytes()


class TestCluster:
    """In the order of the file: the last test kills a node."""

    pytestmark = needs_ray

    def test_what_is_kept_is_not_asked_again(self, engine, tmp_path):
        out = tmp_path / "table.parquet"
        first = collect(engine, TASK, TEXTS[:40], out=out, chunk_size=4, progress=False)
        asked, engine.run = engine.run, None
        again = collect(
            engine, TASK, TEXTS[:40], out=tmp_path / "again.parquet", chunk_size=4, progress=False
        )
        engine.run = asked
        assert np.array_equal(first.to_numpy(), again.to_numpy())
        assert again.metadata["reused_rows"] == 40

    def test_a_worker_that_fails_is_an_error_of_ours(self, cluster, tmp_path):
        with refused(EngineError, mentions="no/such/model"):
            RayEngine(EngineSettings(model="no/such/model"), RaySettings(ray=cluster.address))
        with refused(EngineError, parameter="ray", received="127.0.0.1:1"):
            RayEngine(EngineSettings(), RaySettings(ray="127.0.0.1:1"))

    def test_shards_and_clusters_are_not_mixed(self, engine, tmp_path):
        with refused(ParameterError, parameter="shard", fix=str):
            collect(engine, TASK, TEXTS, out=tmp_path / "t.parquet", shard=(1, 2), progress=False)

    def test_scores_of_records_are_those_of_one_machine(self, engine, model):
        from iterit.records.instruction_records import Records
        from iterit.scoring.complexity import score_complexity
        from tests.support.small_runs import rows

        records = Records.from_rows(rows())
        engine.max_batch_tokens, usual = 16, engine.max_batch_tokens
        found = score_complexity(records, engine, show_progress=False)
        engine.max_batch_tokens = usual
        own = TransformersEngine(model.model, dtype="float32", device="cpu")
        expected = score_complexity(records, own, show_progress=False)
        assert found.drop(columns=["ifd"]).columns.equals(expected.drop(columns=["ifd"]).columns)
        for name in ("ifd", "conditional", "direct"):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
        assert found["n_tokens"].equals(expected["n_tokens"])

    def test_with_a_node_killed_on_the_way_the_table_is_that_of_one_machine(
        self, cluster, engine, model, tmp_path
    ):
        out, failures = tmp_path / "table.parquet", []

        def work() -> None:
            try:
                collect(engine, TASK, TEXTS, ALL_LABELS, out=out, chunk_size=4, progress=False)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        before = 0
        while thread.is_alive() and not (before := n_answers(out)):
            time.sleep(0.005)
        cluster.remove_node(cluster.nodes_of_workers[0], allow_graceful=False)
        thread.join(timeout=1200)
        assert not failures and not thread.is_alive()
        assert 0 < before < len(TEXTS)
        assert out.read_bytes() == one_machine(model, tmp_path / "one")
