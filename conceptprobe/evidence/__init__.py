"""One file per question of the evidence ladder: instruments in, Findings out.

`finding` is the type of every answer, `context` what a question may see, `rows` how scores become rows with interval,
null, p, q and verdict; `designs`, `lexical` and `fits` are what questions 1 and 2 share.
"""
