"""Task files and documents for lm-evaluation-harness, and the code blocks of a page."""

import json
import re

from tests.support.paths import ROOT

KINDS = ["Bug", "Pay", "Ask"]
"""Of one length, so that a model that knows nothing prefers none by far."""


def blocks_of(language, page):
    """Return the code blocks of a language in a page of docs."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def write_tickets(folder, n_rows, kinds=KINDS):
    """Write labelled documents."""
    rows = [{"message": f"ticket number {row * 37}", "kind": kinds[row % 3]} for row in range(n_rows)]
    (folder / "tickets.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def write_task(
    folder,
    doc_to_choice=KINDS,
    metrics=("acc", "cobias", "worst_class_accuracy"),
    correction="correction.json",
    output_type="multiple_choice",
    plain=False,
):
    """Write a task file; a plain one is a task of the harness's own class."""
    lines = ["task: tickets"]
    lines += [] if plain else ["class: !function debias.serving.harnesses.ClassificationTask"]
    lines += [
        "dataset_path: json",
        f"dataset_kwargs: {{data_files: {{test: {folder / 'tickets.jsonl'}}}}}",
        "test_split: test",
        f"output_type: {output_type}",
        'doc_to_text: "Ticket: {{message}}\\nKind:"',
        "doc_to_target: kind",
        f"doc_to_choice: {json.dumps(doc_to_choice)}",
        "metric_list:",
    ]
    for name in ["acc"] if plain else metrics:
        own = name if name in ("cobias", "worst_class_accuracy") else "mean"
        lines.append(
            f"  - {{metric: {name}, aggregation: {own}, higher_is_better: {str(name != 'cobias').lower()}}}"
        )
    lines += [
        "filter_list:",
        "  - name: uncorrected",
        "    filter: [{function: take_first}]",
        "  - name: corrected",
        "    filter:",
        "      - function: take_first",
        "      - function: !function debias.serving.harnesses.CorrectionFilter",
        f"        correction: {correction}",
    ]
    lines += [f"        choices: {json.dumps(doc_to_choice)}"] if plain else []
    (folder / "tickets.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
