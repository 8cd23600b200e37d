"""The report: one HTML file that opens offline and shows a run to people."""

from hume_runner.results.report.page import write_report

__all__ = ["write_report"]
