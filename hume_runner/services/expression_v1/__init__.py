"""Hume's Expression Measurement API v1. Its member names are in this folder and nowhere else of ours.

client.py     one method an operation; reading.py: what answers and runs say, member by member
service.py    what the API means to a run; cost.py: what it bills; media.py: recordings and pictures on their way there;
              settings.py: what changes whose result
shapes.py     answers as typed values; rows.py: as rows; layouts.py: the tables' columns
"""
