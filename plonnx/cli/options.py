"""What a user writes after a command: the words that several commands share, and what their values mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Circuit = Annotated[Path, typer.Argument(metavar="MODEL.circuit")]
Input = Annotated[Path, typer.Argument(metavar="INPUT", help="A .json, .csv, .npy or .npz file.")]
Vk = Annotated[Path, typer.Argument(metavar="MODEL.vk")]
ProofFile = Annotated[Path, typer.Argument(metavar="MODEL.proof")]
Srs = Annotated[Path | None, typer.Option("--srs", metavar="FILE", help="The SRS to use.")]
RpcUrl = Annotated[str, typer.Option(metavar="URL", help="A node's JSON-RPC.")]
MaxFee = Annotated[
    float,
    typer.Option(metavar="GWEI", min=0, help="Sign nothing where the node asks for more than this for a unit of gas."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Estimate, and send nothing.")]
KeyAddress = Annotated[
    str | None,
    typer.Option(metavar="0x..", help="Where the key's contract is (key-contract), for the shared verifier."),
]
Context = Annotated[
    str | None,
    typer.Option("--context", metavar="HEX", help="32 bytes that the proof is bound to (plonnx context makes them)."),
]


def pairs(options: Sequence[str] | None, flag: str) -> list[tuple[str, str]]:
    """NAME=VALUE options; the name may hold "=" or ":" as ONNX names do."""
    pairs = [option.rpartition("=") for option in options or ()]
    for name, sign, given in pairs:
        if not sign or not name:
            raise typer.BadParameter(f"{flag} {name}{sign}{given}: it takes NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def size(text: str, flag: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise typer.BadParameter(f"{flag}: {text!r} is not a size")
    return int(text)


def visibility_of(options: Sequence[str] | None, flag: str) -> Any:
    """ "public" or "private" for all, or by name."""
    words = ("public", "private")
    right = f"say {flag} private for all, or {flag} NAME=private for each"
    named = [option for option in options or () if option not in words]
    general = [option for option in options or () if option in words]
    pairs = {}
    for given in named:
        name, sign, word = given.rpartition("=")
        if not sign or not name or word not in words:
            raise typer.BadParameter(f"{flag} {given}: {right} (public is the default)")
        pairs[name] = word
    if len(general) > 1 or (general and named):
        raise typer.BadParameter(f"{flag} {' '.join(options or ())}: {right}, not both")
    return general[0] if general else pairs or "public"


def one_of(flag: str, word: str, choices: Sequence[str]) -> None:
    if word not in choices:
        raise typer.BadParameter(f"{flag} {word}: choose {', '.join(choices[:-1])} or {choices[-1]}")


def context_bytes(given: str | None) -> bytes | None:
    """64 hexadecimal digits as bytes."""
    if given is None:
        return None
    digits = given.removeprefix("0x")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        raise typer.BadParameter("--context takes 32 bytes, 64 hexadecimal digits")
    return bytes.fromhex(digits)
