"""The command line: one file per command, parsing only. Nothing heavier than typer is imported until a command runs."""
