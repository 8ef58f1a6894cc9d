"""Sounds that are synthesised for concept files: building blocks, the table of clips, and the command that writes them."""
