"""Watches a command from inside its process: a log of what was kept, asked again, and trained.

Work is cut into small pieces and slowed down, so that harm comes in the middle of it.
"""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LOG = "events"


class Watch(NamedTuple):
    """Where events are logged, and how slowly work goes."""

    log: Path
    pause: float = 0.0
    chunk: int = 16

    def __call__(self) -> None:
        """Begin to watch this process."""
        import torch

        torch.set_num_threads(1)
        self.watch_stores()
        self.watch_steps()
        self.make_small_pieces()

    def note(self, word: str, names: Iterable[str]) -> None:
        """Append a line to the log, in one piece."""
        line = " ".join([word, str(os.getpid()), *names]) + "\n"
        handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, line.encode())
        os.close(handle)

    def watch_stores(self) -> None:
        """Note which answers are kept, and which were looked for and not found."""
        from debias.inference.collection.answer_store import AnswerStore

        add, find = AnswerStore.add, AnswerStore.find

        def noted_add(store: Any, answers: Iterable[tuple[bytes, bytes]], *rest: Any, **options: Any) -> None:
            answers = list(answers)
            time.sleep(self.pause)
            add(store, answers, *rest, **options)
            if store.path is not None:
                self.note("kept", (key.hex() for key, _ in answers))

        def noted_find(store: Any, keys: Sequence[bytes]) -> Any:
            found = find(store, keys)
            if store.path is not None and not store._read_only:
                self.note("missing", (key.hex() for key in keys if key not in found))
            return found

        AnswerStore.add, AnswerStore.find = noted_add, noted_find  # type: ignore[method-assign]

    def watch_steps(self) -> None:
        """Note which steps of training were done, and which are in a whole checkpoint."""
        from iterit.training.trainer_callback import RoundsCallback

        end, save = RoundsCallback.on_step_end, RoundsCallback.on_save

        def noted_end(callback: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.note("step", [str(state.global_step)])
            end(callback, args, state, control, **more)

        def noted_save(callback: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
            save(callback, args, state, control, **more)
            time.sleep(self.pause)
            self.note("saved", [str(state.global_step)])

        RoundsCallback.on_step_end, RoundsCallback.on_save = noted_end, noted_save  # type: ignore[method-assign]

    def make_small_pieces(self) -> None:
        """Have answers and scores saved more often than users need."""
        import debias.cli.model_commands.collect as collect
        import iterit.scoring.score_run as score_run

        collect.CHUNK = self.chunk
        score_run.tokens_at_once = lambda engine: 40.0 * self.chunk  # type: ignore[assignment]


def events(log: Path) -> list[tuple[str, str, list[str]]]:
    """Return what was noted: word, process and names, in order."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(word, process, names) for word, process, *names in lines]


def lost_and_duplicated(log: Path) -> tuple[int, int]:
    """Return how many things were kept and missing later, and how many a later process kept again.

    A process may keep an answer as it comes, and again with its chunk. A step of training is lost when a
    later process does it again although a whole checkpoint has it; a process notes the last step of an
    epoch twice.
    """
    by: dict[str, str] = {}
    saved: dict[str, int] = {}
    lost, duplicated = 0, 0
    for word, process, names in events(log):
        if word == "kept":
            duplicated += sum(by.get(name, process) != process for name in names)
            by |= dict.fromkeys(names, process)
        elif word == "missing":
            gone = [name for name in names if name in by and by[name] != process]
            lost += len(gone)
            for name in gone:  # to keep it again is no second fault
                del by[name]
        elif word == "saved":
            saved[process] = int(names[0])
        elif word == "step":
            others = (step for other, step in saved.items() if other != process)
            lost += int(names[0]) <= max(others, default=0)
    return lost, duplicated
