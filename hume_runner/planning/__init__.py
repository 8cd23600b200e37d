"""Items to jobs, and why. (Not `plan`: that is the function of this package.)

prepare.py        from a scan to a plan; model.py: what it says; tally.py: what it comes to; saved.py: one that was kept
scan.py           each item gets its key: rows.py and fingerprint.py; recall.py: a scan that need not be made
diff.py           what the manifest asks for beside what the state knows; former.py: keys of an earlier version
staged.py         what planning needs of whoever keeps things, as protocols
selection.py      which items a run is about: choosing.py, expression.py
likeness.py       what may be the same, written in another way; objects.py: objects in stores; cures.py: what helps
"""
