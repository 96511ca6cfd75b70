"""A full disk, or a second process in the folder, stops training with an error of ours; nothing is lost."""

import shutil
import subprocess

import pytest

from debias.errors import RunInUseError, StorageError
from debias.files.folder_lock import locked_folder
from iterit.training.saving.checkpoint_writing import checkpoint_errors
from iterit.training.saving.whole_checkpoints import last_whole_checkpoint
from tests.support.refusals import refused
from tests.support.small_runs import model_of, picks_of, rounds_in, trainer_of, weights_of


def test_a_second_process_may_not_train_into_the_same_folder(tmp_path):
    trainer = trainer_of(tmp_path, model_of(), num_train_epochs=1)
    rounds_in(trainer)
    (tmp_path / "iterit").mkdir()
    with (
        locked_folder(tmp_path / "iterit", "is training", "wait"),
        refused(RunInUseError, file=str(tmp_path / "iterit"), fix=str, mentions="process"),
    ):
        trainer.train()
    assert trainer.state.global_step == 0
    trainer.train()
    assert trainer.state.global_step > 0


@pytest.mark.filterwarnings("ignore:.*this checkpoint is incomplete or damaged, and is skipped")
def test_a_full_disk_stops_training_with_an_error_of_ours_and_the_rest_resumes(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    words = ["-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *words], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        for room in (30_000, 200_000, 700_000):
            free = shutil.disk_usage(place).free
            (place / "ballast").write_bytes(bytes(max(free - room, 0)))
            trainer = trainer_of(place, model_of(), save_total_limit=1)
            rounds_in(trainer)
            with pytest.raises((StorageError, OSError)):
                trainer.train()
            (place / "ballast").unlink()
        trainer = trainer_of(place, model_of(), save_total_limit=1)
        rounds = rounds_in(trainer)

        trainer.train(resume_from_checkpoint=last_whole_checkpoint(place) is not None)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    whole = trainer_of(tmp_path / "whole", model_of(), save_total_limit=1)
    expected = rounds_in(whole)
    whole.train()
    assert picks_of(rounds) == picks_of(expected)
    assert all((a == b).all() for a, b in zip(weights_of(trainer), weights_of(whole), strict=True))


@pytest.mark.parametrize(
    "said",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "basic_ios::clear: iostream error",
    ],
)
def test_what_writers_say_is_an_error_of_ours(said):
    with refused(StorageError, file="run", fix=str), checkpoint_errors("run"):
        raise RuntimeError(said)


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shapes"), checkpoint_errors("run"):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize(
    "said",
    [
        "No space left on device (os error 28)",  # tokenizers
        "Error while serializing: I/O error: No space left on device",  # safetensors
        "[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0",  # torch
    ],
)
def test_what_libraries_say_of_a_full_disk_is_an_error_of_ours(said):
    with refused(StorageError, file="run", fix=str), checkpoint_errors("run"):
        raise Exception(said)
    with pytest.raises(ValueError), checkpoint_errors("run"):
        raise ValueError("another fault")
