"""Hume's batch API v0 and hosts compatible with it. Its member names are in this folder and nowhere else of ours.

client.py     one method an operation; reading.py: what jobs say, member by member
service.py    what the API means to a run; matching.py: whether a job at the service is ours; settings.py: what changes
              whose result
rows.py       answers as rows; layouts.py, names.py: the tables' columns; downloads.py: which files hold answers
"""
