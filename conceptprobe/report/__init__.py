"""Findings and plain arrays -> what a person reads: the terminal report, figures for papers, tables.

`card` sums findings up into seven questions, `console` prints them (`rows` as tables, `phrases` in words), `gallery` lists
the pictures of a contact sheet; `figures/` holds one drawing per file, `clouds` what those of a projection share, `save`
writes them, `tables` writes findings. Nothing here computes a statistic, and nothing here knows a run folder.
"""
