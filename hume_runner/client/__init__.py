"""What an API says, over HTTP: usable without the runner.

transport.py      a request out, an answer in, and whether anything was sent; with its parts connections.py (sockets
                  that report), deadline.py (total deadlines), wire_errors.py (foreign exceptions), upload.py
                  (multipart from disk) and answer.py (bodies, bounded and strict)
retry.py          which failures deserve another try, and how long to wait
json_stream.py    a JSON array element by element
batch_v0.py       the batch API's operations; batch_v0_reading.py: what its jobs and predictions say
expression_v1.py  the Expression Measurement API's operations; expression_v1_reading.py: what its answers and runs say
legacy.py         HumeBatchClient and, in job.py, configs.py and exceptions.py, what it hands out
download.py       media behind URLs, from public addresses only; addresses.py: which those are
"""
