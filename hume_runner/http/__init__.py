"""Requests out, answers in: knows no API.

transport.py      a request out, an answer in, and whether anything was sent; with its parts connections.py (sockets
                  that report), deadline.py (total deadlines), wire_errors.py (foreign exceptions), upload.py
                  (multipart from disk) and answer.py (bodies, bounded and strict)
retry.py          which failures deserve another try, and how long to wait
json_stream.py    a JSON array element by element; json_lenient.py: of which a part cannot be relied on;
                  long_lists.py: too long for memory
download.py       media behind URLs, from public addresses only; addresses.py: which those are
callback.py       tell a URL of the user's that a manifest is finished
"""
