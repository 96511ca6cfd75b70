"""The comparison of corrections with baselines, on one pair of tables or on several."""

from debias.reports.comparison.compared_methods import METHODS as METHODS
from debias.reports.comparison.compared_methods import Method as Method
from debias.reports.comparison.compared_methods import MethodSettings as MethodSettings
from debias.reports.comparison.compared_methods import choose_methods as choose_methods
from debias.reports.comparison.comparison import Comparison as Comparison
from debias.reports.comparison.comparison import compare as compare
from debias.reports.comparison.comparison import compare_tables as compare_tables
from debias.reports.comparison.comparison import describe_missing as describe_missing
from debias.reports.comparison.comparison_page import comparison_html as comparison_html
from debias.reports.comparison.comparison_page import comparison_markdown as comparison_markdown
from debias.reports.comparison.comparison_page import sections as sections
