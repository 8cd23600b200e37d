"""What happens to a run when something comes back: pure functions from values to values.

Each takes the view and what came, and gives a `Reaction` (`base.py`): the new view, the facts to record, the events to
tell. Nothing here waits, reads or writes; `loop.py` only drives. In the order in which a job goes through them:

sending.py     planned ──► accepted, or answered at once ──► waiting.py
                  ▲            │ refused: again later, in halves, or never
                  │            ▼ unknown
settling.py       └──────── lost: not there, gone ──► found ──► waiting.py
waiting.py     polled ──► ended ──► fetching.py
                  │ broken, unseen for too long
fetching.py    fetched
                  │ came early, failed: again, or given up for this run

What it means that an action failed stands in one table (`failing.py`), what somebody asks of a run in `ordering.py`.
The first reason for which a run stops is the one that it ends with (`stopping.py`).
"""
