"""The command `plonnx` without its subcommands; the files beside it add these."""

from __future__ import annotations

from typing import Annotated

import typer

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
