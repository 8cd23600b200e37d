"""A plan and a state become finished jobs. One loop decides, small workers act, one store writes; no API is named here.

run.py            one run: lock, plan, work, and how it ended; environment.py and tools.py: what it is handed
take_stock.py     before it: what earlier runs left is taken up; mend.py (answers harmed on disk), rescue.py (what the
                  state could not be told), resume.py (what is open and planned)
ask_first.py      before it pays: is that at the service already? survey.py (its list), claims.py and alike.py (whose
                  a job is), apart.py (what must not be mixed), other_runs.py (what runs beside this one are about)
loop.py           the run: view.py says what is due, outgoing.py sends, errands.py is what workers do, incoming.py takes
                  what comes back to reactions/; board.py has facts.py recorded and tells the events; telling.py counts
pacing.py         how fast (pacer.py); again.py: answered before; intent.py: recorded first; download.py: answers
reconcile.py      a lost answer is settled by evidence; evidence.py: what bears on it; last_look.py: once more, last
adopt.py          jobs that were started elsewhere; adopt_files.py: answers that somebody kept
merge.py          shards become one; merge_answers.py: with their answers
"""
