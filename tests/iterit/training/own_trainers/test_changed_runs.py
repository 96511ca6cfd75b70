"""Checkpoints of other settings, or that lack a file, are refused or said before anything is loaded."""

import json
import shutil
import warnings

import pytest
import transformers

from debias.errors import ResumeError, StorageError
from iterit.training.saving.checkpoint_writing import training_alone
from iterit.training.saving.run_facts import training_arguments, training_facts
from iterit.training.saving.same_settings import check_same_training
from tests.support.refusals import refused
from tests.support.small_runs import arguments, model_of, rounds_in, trainer_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one round that is finished."""
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


def run(folder, resumed=None, lora=False, **changes):
    how = {"num_train_epochs": 1, "save_strategy": "epoch", **changes}
    trainer = trainer_of(folder, model_of("qwen2", lora), **how)
    rounds_in(trainer)
    trainer.train(resume_from_checkpoint=resumed)
    return trainer


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "model.safetensors"]
)
@pytest.mark.parametrize("harm", ["missing", "cut"])
def test_a_checkpoint_that_is_named_must_be_whole(finished, tmp_path, name, harm):
    folder = shutil.copytree(finished / "checkpoint-2", tmp_path / "checkpoint-2")
    if harm == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    with refused(ResumeError, file=str(folder / name), fix=str):
        run(tmp_path, str(folder), num_train_epochs=2)


def test_a_whole_checkpoint_resumes_under_any_name(finished, tmp_path):
    shutil.copytree(finished / "checkpoint-2", tmp_path / "best")
    assert run(tmp_path, str(tmp_path / "best"), num_train_epochs=2).state.global_step == 4
    shutil.copytree(finished / "checkpoint-2", tmp_path / "checkpoint-7")
    with refused(ResumeError, file=str(tmp_path / "checkpoint-7" / "trainer_state.json")):
        run(tmp_path, str(tmp_path / "checkpoint-7"), num_train_epochs=2)


CHANGES = {
    "max_grad_norm": 0.1, "adam_beta1": 0.5, "adam_epsilon": 1e-3, "seed": 7, "data_seed": 7, "bf16": True,
    "label_smoothing_factor": 0.3, "neftune_noise_alpha": 5, "optim_args": "x=1", "weight_decay": 0.1,
    "lr_scheduler_kwargs": {"num_cycles": 0.4}, "average_tokens_across_devices": False,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_argument_that_changes_a_result_is_compared(tmp_path, name):
    kind = transformers.TrainingArguments
    was = training_arguments(kind(**arguments(tmp_path)))
    is_now = training_arguments(kind(**arguments(tmp_path, **{name: CHANGES[name]})))
    assert json.loads(json.dumps(was)) == was
    assert [one for one in was if was[one] != is_now[one]] == [name]
    for is_finished in (True, False):
        with pytest.warns(UserWarning, match=f"{name} was"):
            check_same_training({"arguments": was}, {"arguments": is_now}, "run", is_finished)


def test_paths_logging_and_saving_are_not_compared(tmp_path):
    kind = transformers.TrainingArguments
    was = training_arguments(kind(**arguments(tmp_path)))
    other = {
        "logging_steps": 7,
        "save_steps": 3,
        "save_total_limit": 1,
        "run_name": "a",
        "disable_tqdm": False,
    }
    assert training_arguments(kind(**arguments(tmp_path / "other", **other))) == was


def test_a_finished_run_says_what_changed_and_logs_no_training(finished, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "run")
    capsys.readouterr()
    with pytest.warns(UserWarning, match=r"max_grad_norm was 1\.0 and is 0\.1.*is finished"):
        trainer = run(folder, True, max_grad_norm=0.1)
    assert trainer.state.global_step == 2
    assert "train_loss" not in capsys.readouterr().out


def test_a_run_that_goes_on_says_which_settings_count(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    with pytest.warns(UserWarning, match="other settings") as caught:
        trainer = run(folder, True, num_train_epochs=2, learning_rate=0.5)
    said = next(str(one.message) for one in caught if "other settings" in str(one.message))
    kept, counts = said.split(");")[:2]
    assert "learning_rate" in kept and "num_train_epochs" in counts
    assert trainer.optimizer.param_groups[0]["initial_lr"] == 1e-2


def test_other_weights_or_another_optimiser_are_refused_before_anything_is_loaded(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    with refused(ResumeError, received=object, fix=str, mentions="n_trained_parameters"):
        run(folder, True, lora=True, num_train_epochs=2)
    with refused(ResumeError, parameter="optim", received="sgd"):
        run(folder, True, optim="sgd", num_train_epochs=2)
    with pytest.warns(UserWarning, match="optim was"):
        check_same_training({"optim": "OptimizerNames.ADAMW_TORCH"}, {"optim": "adamw_torch_fused"}, "run")


def test_an_adapter_is_not_resumed_on_another_model(tmp_path):
    run(tmp_path, lora=True)

    def again(change):
        trainer = trainer_of(tmp_path, model_of("qwen2", True), num_train_epochs=2, save_strategy="no")
        for name, weight in trainer.model.named_parameters():
            if "lora_" not in name:
                weight.data = change(weight.data)
        rounds_in(trainer)
        return trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))

    with refused(ResumeError, parameter="frozen_weights", mentions="the weights that are not trained"):
        again(lambda weight: weight * 1.01)
    again(lambda weight: weight.bfloat16())
    assert "frozen_weights" not in training_facts(trainer_of(tmp_path, model_of("qwen2")), 1)


def test_checkpoints_of_earlier_releases_are_compared_by_what_they_know():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_same_training({"learning_rate": 1}, {"learning_rate": 1, "arguments": {"seed": 1}}, "run")


def test_a_link_to_a_folder_that_is_not_there_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "far" / "run")
    with training_alone(tmp_path / "link"):
        assert (tmp_path / "far" / "run" / "iterit" / "lock").exists()
    (tmp_path / "file").touch()
    with refused(StorageError, file=str(tmp_path / "file"), fix=str), training_alone(tmp_path / "file"):
        pass
