"""Findings and plain arrays -> what a person reads: the terminal report, figures for papers, tables.

`card` sums findings up into seven questions, `console` prints them, `figures/` holds one drawing per file, `files`
writes figures, `tables` writes findings. Nothing here computes a statistic, and nothing here knows a run folder.
"""
