"""Where the processor's work is done: in this thread, in processes of our own, or on an executor that somebody has.

`base.py` says what a caller sees of it; the work itself is a module-level function of plain values.
"""
