"""`python -m conceptprobe.stimuli FILE...`: check concept files without the command line."""

from __future__ import annotations

import json
import sys

from conceptprobe.errors import ConceptprobeError
from conceptprobe.stimuli.loading import check_files


def main(names: list[str]) -> int:
    """Print every problem and the figures of each concept; 0 without errors, 2 with them."""
    try:
        report = check_files(names)
    except ConceptprobeError as error:
        print(error.message, error.hint, sep="\n", file=sys.stderr)
        return error.exit_code
    for problem in report.problems:
        print(problem)
    for file in report.files:
        if file.difficulty:
            print(file.file, json.dumps(file.difficulty.to_dict(), indent=1))
    print(report.summary)
    return 0 if report.ok else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
