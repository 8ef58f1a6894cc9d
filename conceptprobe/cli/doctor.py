"""`conceptprobe doctor`: is this machine, or one model on it, safe to use?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.doctor.examined import Examined

NAME = "doctor"


@o.with_loading
def command(
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Prove this model here: its numbers against the same model run plainly.", metavar="NAME"
        ),
    ] = "",
    json_: o.Json = False,
    *,
    loading: o.Loading,
) -> None:
    """Check this machine: packages, devices, attention kernels, caches, the hub. Or, with --model, one model on it.

    Exit code 1, with the reason, where something is not safe to use. Warnings do not fail.
    """
    config = o.loading_config(loading)
    if model:
        from conceptprobe.cli.doctor_model import command_for

        command_for(model, config.options, json_)
        return
    from dataclasses import asdict

    from conceptprobe.doctor.environment import examine

    found = examine(offline=config.offline, hub_cache=config.cache_dir)
    if json_:
        checks = [asdict(check) for check in found.checks]
        print_json({"safe": found.safe, "verdict": found.verdict, "reasons": found.reasons, "checks": checks})
    else:
        _print(found)
    if not found.safe:
        raise typer.Exit(1)


def _print(found: Examined) -> None:
    from rich.console import Console
    from rich.text import Text

    from conceptprobe.cli.tables import grouped_table

    parts: dict[str, list[list[str]]] = {}
    fine = [check for check in found.checks if check.part == "packages" and check.state == "ok"]
    for check in found.checks:
        rows = parts.setdefault(check.part, [])
        if check in fine[:1]:
            rows.append(["in range", "ok", ", ".join(f"{c.name} {c.found}" for c in fine)])
        elif check not in fine:
            what = f"{check.found} ({check.hint})" if check.hint else check.found
            rows.append([check.name, check.state, what])
    grouped_table("this machine", ["what", "state", "found"], parts, heading="part")
    Console(highlight=False, soft_wrap=True).print(Text(found.verdict, style="bold" if found.safe else "bold red"))
