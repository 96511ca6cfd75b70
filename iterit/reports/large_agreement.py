"""Reports how the small model of a run ranks records against the large one, round by round."""

from typing import TYPE_CHECKING

from debias.console.number_formats import percent
from iterit.reports.section_page import Section, decimal, whole

if TYPE_CHECKING:
    from iterit.reports.rounds_tables import RoundsTables


def agreement_sections(report: "RoundsTables") -> list[Section]:
    """Return a table of the rounds in which both models scored a sample; none where no round did."""
    rows = []
    for entry in report.kept.history:
        if "large_correlation" not in entry:
            continue
        low, high = (decimal(2)(entry[f"large_{end}"]) for end in ("low", "high"))
        picks, shared = entry["large_picks"], entry["large_shared"]
        rows.append(
            [
                str(int(entry["round"])),
                whole(entry["large_sample"]),
                decimal(2)(entry["large_correlation"]),
                f"{low} to {high}",
                f"{whole(shared)} of {whole(picks)}",
                percent(shared / max(picks, 1)),
            ]
        )
    if not rows:
        return []
    note = (
        "IFD of a sample by the pruned model and by the whole one, each with the adapter at the start of the "
        "round: Spearman's rank correlation with its 95 % interval, and how many records of the sample both "
        "would pick."
    )
    header = ["round", "records", "rank correlation", "95 %", "shared picks", "share"]
    return [Section("Small and large model", note, header, rows)]
