"""Prunes a model into a folder: chooses what is kept, cuts, writes, and aligns on general text if asked to.

Each part is done once: the same call, or command, resumes where an earlier one was stopped.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from debias.errors import ModelError, ParameterError, ResumeError, param
from debias.files.folder_lock import locked_folder
from debias.files.model_writing import writing_model
from iterit.training.pruned.alignment import align, alignment_facts, texts_digest
from iterit.training.pruned.cutting import cut_model, is_pruned
from iterit.training.pruned.llama_parts import sizes_of
from iterit.training.pruned.prune_settings import AlignmentSettings, PruneSettings
from iterit.training.pruned.pruned_manifest import Manifest, read_manifest, weights_fingerprint
from iterit.training.pruned.pruning_rules import (
    PruningRule,
    activation_rule,
    choose_parts,
    random_rule,
    weight_rule,
)
from iterit.training.setup.trainer_setup import trainable_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEXT_TOKENS = 512
"""Most tokens of a text that the rule "activations" reads."""


@dataclass(frozen=True)
class Alignment:
    """Text to train a pruned model on.

    Parameters
    ----------
    texts : sequence of str
    settings : AlignmentSettings
    """

    texts: Sequence[str]
    settings: AlignmentSettings = AlignmentSettings()


class Pruned(NamedTuple):
    """A pruned model in its folder.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    loss : float or None
        Mean loss of the alignment's steps, where this call trained one.
    """

    folder: Path
    manifest: Manifest
    loss: float | None = None


def prune(
    model: str | Path,
    out: str | Path,
    settings: PruneSettings | None = None,
    *,
    rule: PruningRule | None = None,
    texts: Sequence[str] = (),
    alignment: Alignment | None = None,
) -> Pruned:
    """Prune a model of the Llama kind, and write the small one to a folder.

    Parameters
    ----------
    model : str or Path
        "demo", a GGUF file, a folder, or a name on the Hugging Face hub: of the kind Llama, Mistral, Qwen2 or
        Qwen3, its weights not quantised. What cannot be trained is first copied to ``base`` in the folder.
    out : str or Path
        Folder of the small model: weights as safetensors, configuration, tokenizer, and ``pruned.json``.
    settings : PruneSettings, optional
    rule : callable, optional
        A rule of your own in place of that of the settings: given a
        :class:`~iterit.training.pruned.pruning_rules.PrunableLayer`, it returns an
        :class:`~iterit.training.pruned.pruning_rules.Importance`.
    texts : sequence of str
        For the rule "activations".
    alignment : Alignment, optional
        Text to train the small model on afterwards.

    Returns
    -------
    Pruned

    Raises
    ------
    ModelError
        The model cannot be loaded, or is of another kind.
    ParameterError
        All layers are to be kept whole, the rule needs texts, or it returns no numbers.
    ResumeError
        The folder holds a model that was pruned or aligned otherwise.
    StorageError
        The folder cannot be written.

    Examples
    --------
    >>> small = prune("demo", "small", PruneSettings(share=0.5))  # doctest: +SKIP
    >>> prune("demo", "small", PruneSettings(rule="activations"))
    Traceback (most recent call last):
    debias.errors.ParameterError: the rule 'activations' needs texts; pass texts.
    """
    settings = settings or PruneSettings()
    if settings.rule == "activations" and rule is None and not texts:
        raise ParameterError(
            "the rule 'activations' needs texts",
            parameter="texts",
            received=list(texts),
            fix=f"pass {param('texts')}",
        )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    wait = f"wait for it, stop it, or choose another {param('out')}"
    said: dict[str, object] = dict(asdict(settings))
    if rule is not None:
        said["rule"] = getattr(rule, "__name__", type(rule).__name__)
    elif settings.rule == "activations":
        said |= {"texts": texts_digest(texts), "tokens_of_a_text": TEXT_TOKENS}
    with locked_folder(folder, "is pruning into this folder", wait):
        base = trainable_folder(model, folder)
        if is_pruned(folder):
            check_same_cut(folder, said, base)
        else:
            _cut(base, folder, settings, said, rule, texts)
        loss = None if alignment is None else _align_once(folder, alignment, settings.seed)
    return Pruned(folder, read_manifest(folder), loss)


def check_same_cut(folder: Path, said: dict[str, object], base: str) -> None:
    """Raise ResumeError for a folder with a model that was pruned by other settings, or from another one."""
    kept = read_manifest(folder)
    known = {name: value for name, value in kept.rule.items() if name in said}
    changed = sorted(name for name in said if known.get(name) != said[name])
    if weights_fingerprint(base) != kept.fingerprint:
        changed, known, said = ["model"], {"model": kept.base}, {"model": base}
    if changed:
        name = changed[0]
        raise ResumeError(
            f"the folder holds a model that was pruned with {name}={known.get(name)!r}",
            parameter=name,
            received=said[name],
            allowed=repr(known.get(name)),
            file=folder,
            fix=f"choose another {param('out')}",
        )


def _cut(
    base: str,
    folder: Path,
    settings: PruneSettings,
    said: dict[str, object],
    rule: PruningRule | None,
    texts: Sequence[str],
) -> None:
    """Choose, cut and write; the manifest last."""
    from debias.inference.models.loading import quiet

    model, tokenizer = _loaded(base)
    fingerprint = weights_fingerprint(base)
    sizes = sizes_of(model.config)
    settings.check_layers(sizes.n_layers)
    kept = choose_parts(model, rule or _named_rule(settings, model, tokenizer, texts), settings)
    before = sum(one.numel() for one in model.parameters())
    small = cut_model(model, kept)
    after = sum(one.numel() for one in small.parameters())
    with quiet(), writing_model(folder, "the pruned model"):
        small.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    Manifest(
        base=str(Path(base).resolve()) if Path(base).is_dir() else base,
        fingerprint=fingerprint,
        kind=str(model.config.model_type),
        sizes=sizes,
        kept=tuple(kept),
        rule={**said, "n_parameters": before, "n_parameters_kept": after},
    ).write(folder)


def _named_rule(
    settings: PruneSettings,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
) -> PruningRule:
    """Return the rule that the settings name."""
    if settings.rule == "random":
        return random_rule(settings.seed)
    if settings.rule == "weights":
        return weight_rule
    return activation_rule(model, [tokenizer(text)["input_ids"][:TEXT_TOKENS] for text in texts])


def _loaded(base: str) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load a whole model, in the number format of its file."""
    import transformers

    from debias.inference.models.loading import MODEL_NAMES, first_line, quiet

    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(base)
            model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"model {base!r} cannot be loaded: {first_line(error)}",
            parameter="model",
            received=base,
            fix=f"pass {MODEL_NAMES}",
        ) from error
    return model.eval(), tokenizer


def _align_once(folder: Path, alignment: Alignment, seed: int) -> float | None:
    """Align a model that was not aligned yet."""
    wanted = alignment_facts(alignment.texts, alignment.settings, seed)
    known = read_manifest(folder).aligned
    if known is None:
        return align(folder, alignment.texts, alignment.settings, seed)
    changed = sorted(name for name, value in wanted.items() if known.get(name) != value)
    if changed:
        name = changed[0]
        raise ResumeError(
            f"the model was aligned with {name}={known.get(name)!r}",
            parameter="align" if name == "texts" else name,
            received=wanted[name],
            allowed=repr(known.get(name)),
            file=folder,
            fix=f"choose another {param('out')}",
        )
    return None
