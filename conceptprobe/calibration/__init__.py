"""Planted truth through the real pipeline: models whose effects are known, asked the real questions, many times.

`stimuli` invents stimulus sets; `text`, `spaces` and `media` invent models over them (worlds); `rows` is the table of what
is planted and promised; `truth` says what a probe can find there, from units no replication ever sees; `replicate` asks
the questions, over and over, and keeps what is done; `table` sets promises against what was found.
"""
