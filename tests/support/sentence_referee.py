"""A referee of sentences: reads each claim and recomputes it from probabilities, labels, corrections.

It knows the grammar of the sentences and nothing of how they are made: predictions, shares and counts
are computed here anew, row by row.
"""

import re

import numpy as np

SHARE = r"(less than 0\.001|[\d.e+-]+) %"
COUNT = r"(\d{1,3}(?:,\d{3})*)"


def number(text):
    return int(text.replace(",", ""))


class Rows:
    """What is true of some rows and corrections, one per column."""

    def __init__(self, probabilities, y, corrections, names):
        self.P, self.y, self.corrections, self.names = probabilities, y, corrections, list(names)
        self.n = len(y)
        self.shares = np.empty_like(probabilities)
        self.after = np.empty(self.n, dtype=int)
        for i, row in enumerate(probabilities):
            values = np.array([float(one(p)) for one, p in zip(corrections, row, strict=True)])
            values = values if values.any() else row
            self.shares[i], self.after[i] = values / values.sum(), np.argmax(values)
        self.before = np.array([int(np.argmax(row)) for row in probabilities])

    def moved(self, k):
        change = self.shares[:, k] - self.P[:, k] / self.P.sum(axis=1)
        return int((change > 1e-9).sum()), int((change < -1e-9).sum())

    def predicted(self, k):
        return int((self.before == k).sum()), int((self.after == k).sum())

    def correct(self, k):
        own = self.y == k
        return int((self.before[own] == k).sum()), int((self.after[own] == k).sum()), int(own.sum())

    def figures(self):
        """Accuracy in per cent and COBias in points, before and after."""
        found = []
        for predicted in (self.before, self.after):
            recalls = [(predicted[self.y == k] == k).mean() for k in np.unique(self.y)]
            gaps = [abs(a - b) for i, a in enumerate(recalls) for b in recalls[:i]]
            found += [100 * (predicted == self.y).mean(), 100 * np.mean(gaps)]
        return found[::2], found[1::2]


def is_written(share, text):
    """Tell whether a share may be written so: rounded, and as 0 or 100 % only if it is."""
    if text.startswith("less"):
        return 0 < share < 1e-5
    value, digits = float(text), len(text.partition(".")[2]) if "e" not in text else 9
    if value in (0, 100):
        return share == value / 100
    return abs(100 * share - value) <= 0.5 * 10**-digits + 1e-9 or 0.999 < share < 1 and value == 99.9


class Sentence:
    """A sentence that is read from left to right; what was claimed is counted by kind."""

    def __init__(self, text):
        self.text, self.kinds = text, set()

    def claims(self, pattern, kind):
        """Read a claim if it comes next; return its groups (True if it has none), or None."""
        found = re.match(pattern, self.text)
        if found is None:
            return None
        self.text = self.text[found.end() :]
        self.kinds.add(kind)
        return found.groups() or (True,)


def check_class_sentence(text, k, rows):
    """Check each claim on class k, and return their kinds; nothing may be left unread."""
    one, (raised, cut) = Sentence(text), rows.moved(k)
    (before, after), (was, is_now, belong) = rows.predicted(k), rows.correct(k)
    name, correction = re.escape(rows.names[k]), rows.corrections[k]
    made = re.escape("itself unchanged" if correction.is_identity else correction.name)
    assert one.claims(name, "named")
    everywhere = rf"in (?:the only row|all {COUNT} rows)"
    if groups := one.claims(rf" stays as it is {everywhere}", "stays"):
        assert raised == cut == 0 and groups[0] in (None, f"{rows.n:,}")
        assert correction.is_identity or one.claims(rf" \({made}\)", "stays although corrected")
    elif groups := one.claims(rf" is (raised|cut) {everywhere} \({made}\)", "moved everywhere"):
        assert {"raised": raised, "cut": cut}[groups[0]] == rows.n and groups[1] in (None, f"{rows.n:,}")
        one.kinds.add(f"{groups[0]} everywhere")
    elif groups := one.claims(rf" is raised in {SHARE} of {COUNT} rows and cut in {SHARE}", "raised and cut"):
        assert is_written(raised / rows.n, groups[0]) and is_written(cut / rows.n, groups[2])
        assert number(groups[1]) == rows.n and raised and cut
        one.kinds.add("some rows unmoved" if raised + cut < rows.n else "all rows moved")
        assert one.claims(rf" \({made}\)", "identity" if correction.is_identity else "corrected")
    else:
        groups = one.claims(rf" is (raised|cut) in {SHARE} of {COUNT} rows \({made}\)", "one way")
        assert groups, one.text
        moved, other = (raised, cut) if groups[0] == "raised" else (cut, raised)
        assert is_written(moved / rows.n, groups[1]) and number(groups[2]) == rows.n and not other
        one.kinds.add(f"{groups[0]} in some rows")
    reason = one.claims(
        rf", because it was predicted too (rarely|often): for (?:{COUNT} rows?|no row), while {COUNT} "
        rf"belongs? to it(?:, the middle half of them with probabilities of "
        rf"(?:{SHARE}|(less than 0\.001|[\d.e+-]+) to {SHARE}))?",
        "reason",
    )
    if reason:
        wrong, counted, owned, *between = reason
        assert number(counted or "0") == before and number(owned) == belong > 0
        sense = 1 if wrong == "rarely" else -1
        assert sense * (belong - before) > 0 and sense * (after - before) > 0 and sense * (raised - cut) > 0
        low, high = (between[0], between[0]) if between[0] else between[1:]
        for text_, quartile in ((low, 0.25), (high, 0.75)):
            assert (
                text_ is None
                or is_written(np.quantile(rows.P[rows.y == k, k], quartile), text_)
                or (float(text_) == round(100 * np.quantile(rows.P[rows.y == k, k], quartile)))
            )
        one.kinds.add(f"too {wrong}")
        one.kinds.add("reason with probabilities" if low else "reason of few rows")
    assert one.claims("; ", "stop")
    if one.claims("no labelled row belongs to it, so nothing is known about it, and ", "no labelled row"):
        assert belong == 0
    one.claims("now ", "now")
    if one.claims("it is predicted for every row", "always predicted"):
        assert after == rows.n
    elif one.claims("it is never predicted", "never predicted"):
        assert after == 0
        one.kinds.add("never before either" if before == 0 else "no longer")
    else:
        (count,) = one.claims(rf"it is predicted for {COUNT}(?: rows?)?", "predicted")
        assert number(count) == after > 0
    if groups := one.claims(rf" \((?:as|{COUNT}) before(?:; {COUNT} belongs? to it)?\)", "without a reason"):
        assert number(groups[0]) == before != after if groups[0] else before == after
        assert number(groups[1] or "0") == belong
        one.kinds.add(
            "as often as before" if before == after else "more often" if after > before else "rarer"
        )
    else:
        assert reason
    if belong:
        assert one.claims(", and ", "and")
        if groups := one.claims(rf"{COUNT} of its {COUNT} rows are classified correctly", "a few of many"):
            assert (number(groups[0]), number(groups[1])) == (is_now, belong)
            assert number(one.claims(rf" \({COUNT} before\)", "a few before")[0]) == was
        else:
            (share,) = one.claims(
                rf"(?:none|{SHARE}) of its rows (?:is|are) classified correctly", "accuracy"
            )
            assert is_written(is_now / belong, share or "0")
            if one.claims(", as before", "same accuracy"):
                assert was == is_now
            else:
                (share,) = one.claims(rf" \((?:none|{SHARE}) before\)", "other accuracy")
                assert is_written(was / belong, share or "0") and was != is_now
                one.kinds.add("accuracy rises" if is_now > was else "accuracy falls")
            one.kinds.add("none right" if not is_now else "all right" if is_now == belong else "some right")
    assert one.text == ".", one.text
    return one.kinds - {"named", "stop", "and", "now", "predicted"}


def check_summary(text, rows):
    """Check the claims of a summary on the fitted rows, and return their kinds."""
    one = Sentence(text)
    n_changed = sum(not correction.is_identity for correction in rows.corrections)
    (accuracy, cobias), n_classes = rows.figures(), len(rows.names)
    groups = re.search(
        r"(\d+) of (\d+) classes (?:is|are) corrected: on ([\d,]+) labelled rows accuracy goes from ([\d.]+) "
        r"to ([\d.]+) %, COBias from ([\d.]+) to ([\d.]+) points",
        text,
    )
    if groups:
        counted = tuple(map(number, groups.groups()[:3]))
        assert counted == (n_changed, n_classes, rows.n)
        said = list(map(float, groups.groups()[3:]))
        assert np.allclose(said, [*accuracy, *cobias], rtol=0, atol=0.05 + 1e-9)
        one.kinds.add("figures")
    else:
        assert "Nothing was changed" in text and n_changed == 0
        one.kinds.add("nothing changed")
    counts = [np.bincount(side, minlength=n_classes) for side in (rows.before, rows.after)]
    gone = {n for n, b, a in zip(rows.names, *counts, strict=True) if b and not a}
    never = {n for n, b, a in zip(rows.names, *counts, strict=True) if not b and not a}
    if (counts[1] > 0).sum() == 1:
        assert f"Every row is predicted as {rows.names[int(np.argmax(counts[1]))]}" in text
        one.kinds.add("one class only")
    else:
        for ending, true in ((" any more", gone), (", as before", never)):
            found = re.search(rf"No row is predicted as ([\w, ]+?){ending}\.", text)
            found = set() if found is None else set(re.split(", | or ", found[1]))
            assert found == true, (text, true)
            if true:
                one.kinds.add(f"never predicted{ending}")
    return one.kinds
