"""The comparison of corrections with baselines, on one pair of tables or on several."""

from typing import TYPE_CHECKING

from debias.public_names import lazy_names

if TYPE_CHECKING:
    from debias.reports.comparison.comparison import Comparison as Comparison
    from debias.reports.comparison.comparison import compare as compare
    from debias.reports.comparison.comparison import compare_tables as compare_tables
    from debias.reports.comparison.comparison import describe_missing as describe_missing
    from debias.reports.comparison.comparison_page import comparison_html as comparison_html
    from debias.reports.comparison.comparison_page import comparison_markdown as comparison_markdown
    from debias.reports.comparison.comparison_page import sections as sections
    from debias.reports.comparison.methods import METHODS as METHODS
    from debias.reports.comparison.methods import Method as Method
    from debias.reports.comparison.methods import MethodSettings as MethodSettings
    from debias.reports.comparison.methods import choose_methods as choose_methods
    from debias.reports.comparison.prompted_model import PromptedModel as PromptedModel

_HOMES = {
    "comparison": ("Comparison", "compare", "compare_tables", "describe_missing"),
    "comparison_page": ("comparison_html", "comparison_markdown", "sections"),
    "methods": ("METHODS", "Method", "MethodSettings", "choose_methods"),
    "prompted_model": ("PromptedModel",),
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
