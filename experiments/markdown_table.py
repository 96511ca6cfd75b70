"""A DataFrame as a Markdown table."""

import pandas as pd


def markdown(table: pd.DataFrame) -> str:
    """Write cells as they are; an index that has a name comes first."""
    if table.index.name is not None:
        table = table.reset_index()
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
