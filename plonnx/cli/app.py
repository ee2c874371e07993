"""The command `plonnx` without its subcommands; the files beside it add these."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Annotated, Any

import typer
from typer.main import get_command, get_command_name

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    help="Compile an ONNX model to a PLONK circuit, prove its inference, verify it here or on Ethereum.",
)
srs_app = typer.Typer(context_settings=HELP, help="Structured reference strings: fetch one, import one, look at one.")
app.add_typer(srs_app, name="srs")


def _version(wanted: bool) -> None:
    if wanted:
        import plonnx

        typer.echo(f"plonnx {plonnx.__version__}")
        raise typer.Exit


@app.callback()
def _plonnx(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def run(argv: Sequence[str]) -> Any:
    """What a command line ends with. Where its first word names a command, typer reads this one's options alone."""
    asked = copy(app)
    named = [one for one in app.registered_commands if argv[0] == (one.name or _name(one.callback))]
    if named:
        asked.registered_commands, asked.registered_groups = named, []
    return get_command(asked)(list(argv), prog_name="plonnx", standalone_mode=False)


def _name(callback: Any) -> str:
    return get_command_name(callback.__name__)
