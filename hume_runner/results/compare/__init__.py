"""Two results of the same sources side by side: what matched, and how far their numbers agree."""

from hume_runner.results.compare.base import Comparison
from hume_runner.results.compare.compare import compare_results
from hume_runner.results.compare.write import FORMS, form_of, write_comparison

__all__ = ["FORMS", "Comparison", "compare_results", "form_of", "write_comparison"]
