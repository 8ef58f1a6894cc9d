"""The README's picture of the terminal: `python docs/pictures.py results/soul/<run-id> card.html`, then a screenshot of it.

The figures beside it, docs/images/depth_curve.png, carried.png, survives.png and model_matrix.png, are those of the same run.
"""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

from conceptprobe.cli.show import print_run
from conceptprobe.pipeline.results import load_run

PAGE = (
    '<html><body style="margin:0;background:#fff"><pre style="font-family:DejaVu Sans Mono,monospace;font-size:13px;'
    'line-height:1.22;padding:14px;margin:0;display:inline-block">{code}</pre></body></html>'
)


def main(run: Path, page: Path) -> None:
    """Write the report of a run, 152 columns wide and in colour, as a page."""
    console = Console(
        record=True, width=152, force_terminal=True, color_system="truecolor", file=StringIO(), highlight=False
    )
    print_run(load_run(run), console)
    page.write_text(console.export_html(inline_styles=True, code_format=PAGE), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
