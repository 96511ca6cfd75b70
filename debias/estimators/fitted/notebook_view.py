"""A debiaser in a notebook: scikit-learn's diagram, and once fitted a card of the correction."""

from typing import Any

from sklearn.utils import estimator_html_repr

from debias.console.notebooks.card import card
from debias.errors import visible
from debias.estimators.fitted.correction_card import HEADER, card_of


class NotebookView:
    """Adds a card to the diagram of a fitted estimator; it is absent where scikit-learn shows text."""

    def _repr_html_inner(self) -> str:
        """Return what scikit-learn's ``_repr_html_`` gives a notebook."""
        shown = visible(estimator_html_repr(self))  # parameters may hold class names
        fitted = getattr(self, "fitted_", None)
        if fitted is None:
            return shown
        known = card_of(fitted)
        lines = [f"Proved, of the fitted rows: {known.proved}.", f"On rows to come: {known.guaranteed}"]
        return shown + card(known.summary, header=HEADER, rows=known.classes, lines=lines)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        """Return the same for notebooks that ask for all forms at once."""
        forms: dict[str, str] = super()._repr_mimebundle_(**options)  # type: ignore[misc]
        return forms | ({"text/html": self._repr_html_inner()} if "text/html" in forms else {})
