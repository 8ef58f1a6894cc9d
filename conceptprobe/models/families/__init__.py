"""Where each family of transformers models keeps what we read: tables of rows, one file per modality, no branches.

A new family is one row. `base` has the columns that all share and walks the paths; `text`, `image` and `joint` add what
their modality asks for. Shapes are checked when a model loads (the idea is nnterp's). A family that needs an `if` needs
a column here instead.
"""
