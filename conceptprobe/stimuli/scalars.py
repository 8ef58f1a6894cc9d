"""What YAML makes of a scalar without quotes, by version 1.1 or 1.2, whichever is less like text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it. Only its events are used; it constructs nothing."""


@dataclass(frozen=True)
class NotText:
    """A plain scalar that is neither text nor a plain decimal number, boolean or nothing: a date, an octal, ..."""

    spelling: str


_NOTHING = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|yes|Yes|YES|on|On|ON)|(?:false|False|FALSE|no|No|NO|off|Off|OFF)")
_TRUE = frozenset({"true", "yes", "on"})
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30}|[0-9]{1,18}(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?")
_KINDS = {
    "timestamp": "a date",
    "int": "a number (octal, hexadecimal, in base 60 or with underscores)",
    "float": "a number (in base 60, not finite or with underscores)",
    "merge": "a merge key",
    "value": "a default key",
}


def plain_scalar(spelling: str) -> tuple[Any, str]:
    """Value of an unquoted scalar, and what YAML reads it as (empty where that is text)."""
    if _NOTHING.fullmatch(spelling):
        return None, "nothing"
    if _BOOLEAN.fullmatch(spelling):
        value = spelling.lower() in _TRUE
        return value, "the boolean true" if value else "the boolean false"
    if _INTEGER.fullmatch(spelling):
        return int(spelling), f"the number {int(spelling)}"
    if _NUMBER.fullmatch(spelling):
        return float(spelling), f"the number {float(spelling):g}"
    for tag, pattern in LOADER.yaml_implicit_resolvers.get(spelling[0], []):
        if pattern.match(spelling):
            return NotText(spelling), _KINDS.get(tag.rsplit(":", 1)[-1], "something else")
    return spelling, ""
