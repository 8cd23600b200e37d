"""The report: one HTML file that opens offline and shows a run to people."""
