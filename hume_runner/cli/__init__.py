"""The command line: a file a command, on `api` alone.

main.py           parse, call, and turn an exception into text and an exit code; entry.py: before and after it
console.py        where words and lines.py go: streams.py, drawing.py, signs.py, told_errors.py, log_file.py, metrics.py
signals.py        what Ctrl-C and its like mean at each moment
progress.py       a run while it works, and run_shown.py: its lines; plan_shown.py: a plan as text and Markdown
manifests.py      what a command is about; named_paths.py: paths as they were typed
changed.py        the hook for pre-commit
"""
