"""One small program for each contender. Each runs in a process and, for peers, in an environment of its own.

Only the standard library and the contender may be imported here. `contract` is what they have in common.
"""
