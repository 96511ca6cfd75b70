"""The options that train on a pruned model, and score with it or with the whole one."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debias.errors import ParameterError, param
from debias.settings import Settings, setting
from iterit.training.setup.trainer_setup import trainable_folder
from iterit.training.setup.training_settings import TrainingSettings

if TYPE_CHECKING:
    from iterit.training.pruned.in_rounds.adapted_engine import AdaptedEngine
    from iterit.training.pruned.pruned_manifest import Manifest
    from iterit.training.trainer import IterIT


@dataclass(frozen=True)
class PrunedOptions(Settings):
    """A pruned model in place of the one that is meant."""

    pruned: Path | None = setting(
        None,
        "Folder written by iterit prune: train an adapter on the pruned model, and recover it for the whole "
        "model.",
        metavar="DIR",
    )
    score_on: str = setting(
        "small",
        "With --pruned, the model that scores: the small one, or the large one with the recovered adapter.",
        one_of=("small", "large"),
    )
    large_model: str | None = setting(
        None, "With --pruned, the whole model; by default the one that was pruned.", metavar="NAME"
    )
    compared: int = setting(
        200,
        "With --pruned, number of records that both models score in each round, to compare them; 0 for none.",
        least=0,
    )

    def base(self, model: str, out: Path, training: TrainingSettings, engine: str) -> str:
        """Return the model to train, and refuse what does not go together.

        Raises
        ------
        ModelError
            The folder holds no pruned model, or the large model is another one.
        ParameterError
            All weights are to be trained, a model is named too, or vLLM cannot load the small model.
        """
        if self.pruned is None:
            return trainable_folder(model, out)
        if not training.lora:
            raise ParameterError(
                "only an adapter can be recovered for the whole model",
                parameter="lora",
                received=False,
                fix="omit --full",
            )
        if model != "demo":
            raise ParameterError(
                f"{param('pruned')} already determines the model to train",
                parameter="model",
                received=model,
                fix=f"omit {param('model')}; the whole model is {param('large_model')}",
            )
        from iterit.training.pruned.adapter_recovery import check_base
        from iterit.training.pruned.cutting import fits_its_configuration

        manifest = self._manifest
        if self.score_on == "large" or self.compared:
            check_base(manifest, self.large, "model" if self.large_model is None else "large_model")
        if engine == "vllm" and self.score_on == "small" and not fits_its_configuration(self.pruned):
            raise ParameterError(
                "vLLM can load a pruned model only if no layer was kept whole",
                parameter="engine",
                received="vllm",
                fix=f"pass {param('score_on', 'large')}, or prune with --keep-first 0 --keep-last 0",
            )
        return str(self.pruned)

    @property
    def large(self) -> str:
        """The whole model."""
        return self.large_model or self._manifest.base

    @property
    def _manifest(self) -> "Manifest":
        from iterit.training.pruned.pruned_manifest import read_manifest

        assert self.pruned is not None
        return read_manifest(self.pruned)

    def scoring_model(self, base: str) -> str:
        """Return the model that another engine than the trainer scores with."""
        return self.large if self.pruned is not None and self.score_on == "large" else base

    def engine(self, dtype: str, device: str) -> "AdaptedEngine | None":
        """Return what scores in place of the trainer's own model; None where that scores."""
        from iterit.training.pruned.in_rounds.adapted_engine import AdaptedEngine

        scores = self.pruned is not None and self.score_on == "large"
        return AdaptedEngine(self.large, dtype, device) if scores else None

    def watch(self, iterit: "IterIT", device: str) -> None:
        """Have the rounds that were attached recover adapters, and compare both models."""
        if self.pruned is None:
            return
        from iterit.training.pruned.in_rounds.adapted_engine import AdaptedEngine, recovering
        from iterit.training.pruned.in_rounds.small_and_large import SmallAndLarge
        from iterit.training.rescoring import Rescorer

        rounds, manifest = iterit.rounds, self._manifest
        assert rounds is not None
        own = rounds.rescorer
        if self.score_on == "large":
            own.adapted = recovering(manifest, self.large, own.engine)
        if not self.compared:
            return
        if self.score_on == "large":
            small, large = Rescorer(own.score_rows, own.lengths, None, own.dtype), own
        else:
            engine = AdaptedEngine(self.large, device=device)
            small, large = own, Rescorer(own.score_rows, own.lengths, engine)
            large.adapted = recovering(manifest, self.large, engine)
        rounds.comparison = SmallAndLarge(small, large, iterit.records.responses, self.compared)

    def leave_manifest(self, adapter: Path) -> list[str]:
        """Copy the manifest beside a trained adapter, so that it can be recovered; return what to do next."""
        if self.pruned is None:
            return []
        shutil.copyfile(self.pruned / "pruned.json", adapter / "pruned.json")
        return [  # the command has a line of its own, so that it can be copied
            "This is an adapter of the small model. To convert it for the large one:",
            f"iterit recover {adapter}",
        ]
