"""The stand-in for both APIs, an independent reading of them: real HTTP on loopback, with all that can go wrong there.

server.py         it listens, routes and stops; gateway.py, context.py: what both APIs stand on; faults.py and
                  difficulties.py: what goes wrong on request
batch_v0/ expression_v1/
"""
