"""Whole training runs of tiny models: made here for tests, and as a script that can be killed."""

import json
import os
import random
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers

from iterit.training.trainer import QUERY_MODES, IterIT
from tests.support.tiny_models import byte_tokenizer, tiny_model

WORDS = ["Who", "wrote", "the", "book", "How", "many", "planets", "are", "there", "in", "Nile", "good", "bad"]
N_ROWS, RATIO, ROUNDS = 40, 0.25, 3


def rows(n: int = N_ROWS) -> list[dict[str, str]]:
    """Made-up instructions of different lengths."""
    generator = random.Random(0)

    def text(most: int) -> str:
        return " ".join(generator.choices(WORDS, k=generator.randint(1, most)))

    return [{"instruction": text(8), "input": "", "output": text(12)} for _ in range(n)]


def model_of(name: str = "gpt2", lora: bool = False) -> Any:
    """A tiny model; GPT-2 has dropout, which shows whether random states are kept."""
    model = tiny_model(name, byte_tokenizer())
    if lora:
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(1)
        targets = ["q_proj", "v_proj"] if name == "qwen2" else None
        model = get_peft_model(model, LoraConfig(r=4, lora_dropout=0.1, target_modules=targets))
    return model


def arguments(folder: Path | str, **changes: Any) -> dict[str, Any]:
    """Settings of a run that saves every step."""
    return {
        "output_dir": str(folder),
        "num_train_epochs": ROUNDS,
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "save_strategy": "steps",
        "save_steps": 1,
        "logging_steps": 1,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 0,
        **changes,
    }


def trainer_of(folder: Path | str, model: Any, collator: Any = None, **changes: Any) -> Any:
    """A plain trainer."""
    transformers.set_seed(0)
    return transformers.Trainer(
        model,
        transformers.TrainingArguments(**arguments(folder, **changes)),
        data_collator=collator,
        processing_class=byte_tokenizer(),
    )


def rounds_in(trainer: Any, records: Any = None, **options: Any) -> IterIT:
    """Rounds in a trainer."""
    rounds = IterIT(records or rows(), RATIO, show_progress=False, **options)
    rounds.attach(trainer)
    return rounds


def picks_of(rounds: IterIT) -> list[list[int]]:
    """Rows of each round."""
    assert rounds.rounds is not None
    return [rounds.rounds.state.rows_of(number).tolist() for number in range(rounds.rounds.state.round)]


def weights_of(trainer: Any) -> list[torch.Tensor]:
    return [value.detach().clone() for value in trainer.model.state_dict().values()]


class KillAt(transformers.TrainerCallback):
    """Kills the process at a step: as it ends, or in the middle of writing a checkpoint."""

    def __init__(self, trainer: Any, step: int, where: str) -> None:
        self.step, self.where = step, where
        if where == "saving":
            before = trainer._save_rng_state

            def cut(folder: str) -> None:
                if trainer.state.global_step == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                before(folder)

            trainer._save_rng_state = cut

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self.where == "step" and state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, step: str = "-1", where: str = "nowhere", mode: str = "published") -> None:
    """Train, or resume a killed run, and write picks and weights; a mode that picks by a query has one."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:  # each draws a dropout of its own
        trainer = trainer_of(folder, model_of("qwen2"), ddp_backend="gloo", per_device_train_batch_size=2)
    else:
        trainer = trainer_of(folder, model_of(), save_total_limit=1)
    query = rows(60)[-4:] if mode in QUERY_MODES else None
    rounds = rounds_in(trainer, cache=Path(folder) / "scores", mode=mode, query=query)
    trainer.add_callback(KillAt(trainer, int(step), where))
    from iterit.training.saving.whole_checkpoints import last_whole_checkpoint

    trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder, processes) is not None)
    if trainer.is_world_process_zero():
        torch.save(weights_of(trainer), Path(folder) / "weights.pt")
        (Path(folder) / "picks.json").write_text(json.dumps(picks_of(rounds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
