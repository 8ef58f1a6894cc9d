"""Plain help with the options of a command in sections, by their `rich_help_panel`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class Sectioned(TyperCommand):
    """A command whose --help has a section for each panel that its options name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, options, and then one section after the other."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            is_argument = parameter.param_type_name == "argument"
            panel = getattr(parameter, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
            sections.setdefault(panel, []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
