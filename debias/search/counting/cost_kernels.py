"""Compiled sums of costs: what all samples cost with every correction of one class."""

from debias.compilation import compiled_in_place


@compiled_in_place
def cost_class(columns, rivals, y, j, costs, more, values):
    """Fill ``values[r]`` with what all samples cost when class j has correction r.

    A sample that class j takes from its best rival costs ``more``, which is scratch by sample.
    """
    base = 0.0
    for m in range(y.shape[0]):
        before = costs[y[m], rivals.owner[m]]
        base += before
        more[m] = costs[y[m], j] - before
    for r in range(values.shape[0]):
        total = base
        row = columns[r]
        for m in range(y.shape[0]):
            if row[m] > rivals.rank[m]:
                total += more[m]
        values[r] = total
