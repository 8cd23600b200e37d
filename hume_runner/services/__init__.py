"""Measurement APIs: a folder each, and what they share.

base.py           what a run asks of an API, as protocols; the values that cross: jobs.py, lost.py, foreign.py
table_shapes.py   what an API gives the tables: which columns, and rows by column; signals.py: how they are drawn
packing.py        jobs are filled with members; members.py (packed archives), placing.py (where a part lies in a source)
source_store.py   sources as files on this machine: links.py, remote_files.py; making.py: what is made of them
evidence.py       what a list of jobs proves of a lost one
json_elements.py  answers too long for memory; unreadable.py: answers that cannot be read
at_once.py        what an API need not write that measures when it is asked; credits.py: whose models measured
batch_v0/ expression_v1/ local/
"""
