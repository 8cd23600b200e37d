"""Where the processor's work is done: in this thread, in processes of our own, or on an executor that somebody has.

base.py           what a caller sees of it; the work itself is a module-level function of plain values
choose.py         which place a user means: here.py, executor.py, dask.py
remote.py         calls elsewhere: tried again, or given up; handed.py and perform.py: both ends of one
checks.py         whether who is there may work; presence.py: whether anybody is
dask_link.py      the connection to a scheduler; dask_watch.py, dask_calls.py: its workers, its calls
shared_folder.py  what a run and its workers share on disk
"""
