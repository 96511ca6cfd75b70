"""Headline figures of the papers, for their models: quoted, not rerun, relative to the uncorrected model."""

HEADLINES = {
    "weight (DNIP)": {
        "accuracy": "+18",
        "cobias": "-61",
        "where": "arXiv 2405.07623, mean of five models",
    },
    "fuzzy (FuRud)": {
        "accuracy": "+21",
        "cobias": "-56",
        "where": "arXiv 2412.19018, Llama-2-13B, seven tasks",
    },
}
LETTERS = {"accuracy": "+44", "cobias": "-54", "where": "Llama-2-13B, letter options"}


def relative(before: float, after: float) -> str:
    """Write a change relative to what was before, in per cent."""
    return f"{100 * (after / before - 1):+.0f}" if before > 0 else ""
