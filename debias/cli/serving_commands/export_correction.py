"""``debias export``: a saved correction for servers, ONNX, MLflow and other languages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.output_files import check_output, write_or_rescue, write_text
from debias.console.screen import print_lines
from debias.errors import ParameterError, param
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from debias.serving.served_correction import ServedCorrection


class Target(StrEnum):
    """What a correction may become."""

    logit_bias = "logit-bias"
    onnx = "onnx"
    mlflow = "mlflow"
    table = "table"


_DEFAULTS = {
    Target.logit_bias: Path("logit_bias.json"),
    Target.onnx: Path("correction.onnx"),
    Target.mlflow: Path("correction_mlflow"),
    Target.table: Path("correction_table.json"),
}


@dataclass(frozen=True)
class LabelOptions(Settings):
    """Which tokens the labels are, for logit biases."""

    tokenizer: str | None = setting(
        None,
        "For logit-bias: the tokenizer, given as a model name, a folder, a .gguf file, or demo.",
        metavar="NAME",
    )
    task: str | None = setting(
        None,
        "For logit-bias: the task that was collected, which defines the label words and the prompt; by "
        "default the class names, after a space.",
    )
    in_chat: bool = setting(
        False, "For logit-bias: label words start a chat answer, without a leading space."
    )
    only_labels: bool = setting(
        False,
        "For logit-bias: raise all labels as far as servers allow, so that the model answers with "
        "nothing else.",
    )

    def refuse_without(self, target: Target) -> None:
        """Refuse an option that the target does not have, and a logit bias without a tokenizer."""
        if target is Target.logit_bias:
            if self.tokenizer is None:
                raise ParameterError(
                    f"{param('to', 'logit-bias')} needs the tokenizer of the model that is served",
                    parameter="tokenizer",
                    fix=f"add {param('tokenizer', 'NAME')}",
                )
            return
        for name in ("tokenizer", "task", "in_chat", "only_labels"):
            if getattr(self, name):
                raise ParameterError(
                    f"{param(name)} requires {param('to', 'logit-bias')}",
                    parameter=name,
                    received=getattr(self, name),
                    fix="omit it",
                )


def export(
    correction: Annotated[Path, typer.Argument(help="Correction that `debias fit` wrote.")],
    *,
    to: Annotated[
        Target,
        typer.Option(
            help="logit-bias: JSON of token ids and biases, for any server that accepts logit_bias; onnx: a "
            "graph of standard operators; mlflow: a pyfunc model as code; table: all numbers as JSON, "
            "for use in other languages."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write it: logit_bias.json, correction.onnx, the folder correction_mlflow or "
            "correction_table.json by default."
        ),
    ] = None,
    tokens: LabelOptions,
) -> None:
    """Export a correction for use where the model is served.

    ONNX, MLflow and the table give every row the same label as `debias apply`. A logit bias does so only for
    corrections made of class weights, such as those of debias fit --weights-only.

    Example: debias export correction.json --to onnx

    For a server: debias export correction.json --to logit-bias --tokenizer Qwen/Qwen3-8B
    """
    tokens.refuse_without(to)
    target = out or _DEFAULTS[to]
    if to is not Target.mlflow:
        check_output(target, (".onnx",) if to is Target.onnx else (".json",), (correction,))
    from debias.serving.served_correction import load

    served = load(correction)
    if to is Target.logit_bias:
        _write_logit_bias(served, tokens, target)
    elif to is Target.onnx:
        from debias.serving.exports.onnx_model import to_onnx

        model = to_onnx(served)
        write_or_rescue(target, lambda path: _write_bytes(path, model.SerializeToString()))
        print_lines([f"Wrote {target}: input 'probabilities', outputs 'index', 'label' and 'values'."])
    elif to is Target.mlflow:
        from debias.serving.exports.mlflow_model import save_mlflow

        save_mlflow(correction, target)
        print_lines([f"Wrote the folder {target}: mlflow.pyfunc.load_model({str(target)!r}) loads it."])
    else:
        from debias.serving.exports.plain_table import plain_table

        write_text(json.dumps(plain_table(served), indent=1, allow_nan=False) + "\n", target)
        print_lines([f"Wrote {target}."])


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    from debias.files.atomic_file import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _write_logit_bias(served: "ServedCorrection", tokens: LabelOptions, target: Path) -> None:
    """Write the biases, and say what they do and what is lost."""
    from debias.serving.exports.logit_bias import logit_bias

    found = logit_bias(served, _label_tokens(served.classes, tokens), tokens.only_labels)
    write_text(found.to_json(), target)
    print_lines([f"Wrote {target}: send it as logit_bias, with max_tokens 1 and temperature 0."])
    print_lines(
        [f"{label}: {bias:+.3f}" for label, bias in zip(served.classes, found.biases.values(), strict=True)],
        bullet="- ",
    )
    print_lines(found.describe())


def _label_tokens(classes: Sequence[object], tokens: LabelOptions) -> list[Sequence[int]]:
    """Return the tokens of each label word after a prompt, in the order of the classes."""
    from debias.inference.tokenization import Tokenization

    assert tokens.tokenizer is not None
    names = [str(label) for label in classes]
    prompt, words = "Answer:", [f" {name}" for name in names]
    if tokens.task is not None:
        from debias.inference.texts.tasks import load_task

        task = load_task(tokens.task)
        by_name = dict(zip(task.class_names, task.continuations, strict=True))
        if set(by_name) != set(names):
            raise ParameterError(
                parameter="task",
                allowed=f"a task with the classes {names}",
                received=list(by_name),
                fix="pass the task that was collected",
            )
        prompt, words = task.prompt("text"), [by_name[name] for name in names]
    if tokens.in_chat:
        prompt, words = "\n", [word.strip() for word in words]
    ((_, found),) = Tokenization.of(tokens.tokenizer).split_labels([prompt], words)
    return list(found)
