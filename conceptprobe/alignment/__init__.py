"""Instruments that compare two spaces over the same words: one file per metric, invariances tested."""
