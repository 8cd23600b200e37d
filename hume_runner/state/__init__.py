"""The state file, and what lies around it. All SQL of the package is here.

store.py          the file as a run has it; reader.py: as whoever only asks has it. Each names its parts: one class a
                  concern, in a file of that name. rows.py: the values that they give; lifecycle.py: a job's moves
connection.py     a file is opened or refused; migrations.py (its schema), pinned.py (which file that is), snapshot.py
                  (where nobody may write), seal.py (whether a bit of it flipped)
disk.py           each operation that makes something durable
lock.py           one writer at a time
keeping.py        where a state is kept besides: remote/ is an object store
staging.py        the manifest's items in a scratch file; told.py and side_by_side.py: other things that are compared so
under_way.py      what runs of one user tell each other, by notes.py; sent.py: how far a state knows what was sent
shards.py         parts of a whole; merging.py: how they come together, shard_facts.py (what is known before),
                  recognising.py (which jobs), taking.py (which items)
paths.py          where a manifest's files are; outputs_owner.py (whose they are), in_the_way.py (what else is there),
                  answers.py (are they what they were), sightings.py (how old what lies there is), said.py (what a
                  service said that the state may not know)
"""
