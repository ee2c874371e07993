"""How messages name an option: as a parameter in Python, as a flag on the command line.

    option("margin")                 margin                       --margin
    option("dims", "time=..")        dims={'time': ..}            --dim time=..

It stands at the bottom of the house because every package names options.
"""

from __future__ import annotations

_FLAGS = {"dims": "--dim", "shapes": "--shape"}
"""Parameters whose flag isn't their name."""


class _Speech:
    """Which of the two is spoken; cli/main.py says so when it starts."""

    shell = False


def speak_shell() -> None:
    """Name flags from now on: this process is a command."""
    _Speech.shell = True


def option(parameter: str, value: str = "") -> str:
    """A parameter, or its flag; `value` is what it is or should be, as the command line writes it."""
    if _Speech.shell:
        flag = _FLAGS.get(parameter, f"--{parameter.replace('_', '-')}")
        return f"{flag} {value}" if value else flag
    if not value:
        return parameter
    name, sign, given = value.rpartition("=")
    if not sign:
        return f"{parameter}={value}"
    return f"{parameter}={{{name!r}: {f'({given})' if ',' in given else given}}}"
