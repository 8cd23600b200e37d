"""Raw answers become what people read: `results.jsonl`, tables, pictures, a page, packages.

finish.py         the end of a run, which calls all of this; derived.py: which of it is current; due.py: where it goes
base.py           what results are, wherever they come from: from_state.py, or read.py (answers without a state)
rows.py           answers joined with items; columns.py (as Arrow tables), sinks.py (on disk), tables.py (all of them)
source_table.py   many rows summed up: by_source.py, aggregates.py, summable.py, spreads.py, quantiles.py
groups.py         sources side by side: label_groups.py, labels.py; agreement.py, alignment.py: two results of one
event_table.py    rows and the events they lie in: intervals.py, event_sources.py
outputs.py        `results.jsonl` and `run.json`; summary.py: the same in a few lines; credits.py: who measured
verify.py         outputs beside their hashes; audit.py: jobs beside the service's word; mirror.py: copies in a store
authorship.py     whose a file is that would be written over: marks.py, shapes.py, earlier_shapes.py, as_written.py
report/ figures/  a page, pictures; compare/: two results; package/: for publishing
"""
