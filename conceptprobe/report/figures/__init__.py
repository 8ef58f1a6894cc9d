"""Figures for papers, one file each: a dataclass of plain arrays, and a function from it to (Figure, table).

The table holds what is drawn and becomes the CSV beside the figure (`report.save`). To add a figure, add a file
with `@register("figure", "name")`; nothing else has to change.
"""
