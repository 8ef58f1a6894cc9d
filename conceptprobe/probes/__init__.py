"""Instruments that fit a direction: the ridge probe whose null is a matrix product, and what stands beside it."""
