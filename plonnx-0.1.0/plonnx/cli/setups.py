"""The commands on structured reference strings: make one for development, import one, fetch one, look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plonnx.cli.app import srs_app
from plonnx.cli.console import Report
from plonnx.cli.options import Json
from plonnx.cli.worker import interruptible


@srs_app.command("generate")
def srs_generate(
    k: Annotated[int, typer.Option("--k", min=1, max=24, help="2^k powers, for circuits of up to 2^k rows.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE")],
    json: Json = False,
) -> None:
    """Make a development SRS, whose secret is published. UNSAFE: for tests only."""
    from plonnx.inspection import describe
    from plonnx.kzg.srs import SRS
    from plonnx.srs_choice import warn

    report = Report("srs generate", json, out)
    with report.stage("generate", f"making an SRS of 2^{k} powers"):
        made = interruptible(lambda: SRS.development(k))
    with report.stage("write", f"writing {out}"):
        made.save(out)
    warn(made)
    report.fields.update(describe(made))
    report.written(srs=out)
    report.finish()


@srs_app.command("import")
def srs_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As the ceremony published it.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE")],
    powers: Annotated[int | None, typer.Option(help="How many to take: rows times columns per commitment.")] = None,
    json: Json = False,
) -> None:
    """Import a ceremony's file: Ethereum's, c-kzg's, Midnight's, or powers of tau (Zcash, Filecoin)."""
    from plonnx.inspection import describe
    from plonnx.kzg.ceremonies import import_srs
    from plonnx.srs_choice import warn

    report = Report("srs import", json, out)
    with report.stage("import", f"reading {file} and checking its points"):
        found = interruptible(lambda: import_srs(file, powers))
    with report.stage("write", f"writing {out}"):
        found.srs.save(out)
    report.fields.update(describe(found.srs))
    report.fields["layout"] = found.layout
    report.fields["available"] = found.available
    report.fields[found.hash_name] = found.hash
    report.say(f"{found.srs.name}: {found.srs.size} of {found.available} powers, from a {found.layout}")
    report.say("every point is in its subgroup, and the pairings hold: these are the powers of one tau")
    report.say(f"{found.hash_name} of the file: {found.hash or 'not computed, the file is huge (b2sum does it)'}")
    if not found.srs.origin.known:
        report.say("compare it with what the ceremony published: no check can see whether somebody knows tau")
    warn(found.srs)
    report.written(srs=out)
    report.finish()


@srs_app.command("fetch")
def srs_fetch(
    k: Annotated[int, typer.Argument(metavar="K", help="2^K powers, 15 to 25.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL|FILE", help="A mirror, or a file that is here.")
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a larger SRS of Midnight's ceremony, check it, and keep it where setup and prove find it."""
    from plonnx.inspection import describe
    from plonnx.kzg.fetch import fetch

    report = Report("srs fetch", json)
    with report.stage("fetch", f"fetching 2^{k} powers") as ticker:
        found = interruptible(lambda: fetch(k, source, ticker))
    report.fields.update(describe(found.srs))
    report.fields["already"] = found.already
    report.fields["path"] = str(found.path)
    report.say(f"{found.srs.name}: {found.srs.size} powers")
    if found.already:
        report.say(f"{found.path} is here already")
    else:
        report.say("its sha256 is the published one, every point is in its subgroup, and the pairings hold")
        report.written(srs=found.path)
    report.finish()


@srs_app.command("info")
def srs_info(file: Annotated[Path, typer.Argument(metavar="FILE")], json: Json = False) -> None:
    """Show where an SRS comes from and how large it is."""
    from plonnx.inspection import describe
    from plonnx.kzg.srs import SRS

    Report("srs info", json).show({**describe(SRS.load(file)), "bytes": file.stat().st_size})
