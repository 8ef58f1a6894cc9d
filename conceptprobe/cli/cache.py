"""`conceptprobe cache`: where the cache is, what is in it, and how to empty it."""

from __future__ import annotations

from typing import Annotated

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

NAME = "cache"


def command(
    clear: Annotated[bool, typer.Option("--clear", help="Delete every entry.")] = False, json_: o.Json = False
) -> None:
    """Show the activations and findings that are cached, or delete them."""
    from conceptprobe.activations import Store
    from conceptprobe.cli.tables import plain_table
    from conceptprobe.files import size

    store = Store()
    if clear:
        freed = store.clear()
        print_json({"path": str(store.path), "freed": freed}) if json_ else typer.echo(
            f"{size(freed)} freed in {store.path}"
        )
        return
    groups: dict[tuple[str, str, str], list[int]] = {}
    for entry in store.entries():
        about = entry.about
        key = (
            entry.kind,
            str(about.get("model", about.get("concept", ""))),
            str(about.get("set", about.get("stage", ""))),
        )
        groups.setdefault(key, []).append(entry.bytes_)
    rows = [
        {"kind": kind, "of": of, "what": what, "entries": len(sizes), "bytes": sum(sizes)}
        for (kind, of, what), sizes in sorted(groups.items())
    ]
    if json_:
        print_json({"path": str(store.path), "bytes": store.size(), "groups": rows})
        return
    plain_table(
        f"cache in {store.path}",
        ["kind", "of", "what", "entries", "size"],
        [[str(r["kind"]), str(r["of"]), str(r["what"]), str(r["entries"]), size(int(str(r["bytes"])))] for r in rows],
        right={"entries", "size"},
        foot=f"{size(store.size())} in all; set CONCEPTPROBE_CACHE to move it",
    )
