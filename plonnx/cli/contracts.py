"""The commands on contracts: load, call what `plonnx.solidity` and `plonnx.api` have for it, write, print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plonnx.cli.app import app
from plonnx.cli.console import Report
from plonnx.cli.options import DryRun, Json, KeyAddress, MaxFee, ProofFile, RpcUrl, Vk
from plonnx.kzg.prices import MAX_FEE

if TYPE_CHECKING:
    from plonnx.plonk.keys import VerifyingKey
    from plonnx.solidity.evm import Deployment


@app.command()
def solidity(
    vk: Annotated[Path | None, typer.Argument(metavar="MODEL.vk")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Default: stdout.")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="The one verifier of all models, which takes no key: see key-contract.")
    ] = False,
    via_ir: Annotated[
        bool,
        typer.Option("--via-ir", help="For projects that are compiled with viaIR; 1 to 2 % more gas, 15 if not small."),
    ] = False,
    gas_report: Annotated[
        bool,
        typer.Option(
            "--gas-report", help="Show what a verification costs, part by part, and what would make it cheaper."
        ),
    ] = False,
    dapp: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write all that a dapp needs: interface, public values as numbers, ABI, types, mock."
        ),
    ] = None,
    foundry: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a foundry project: the sources and a test.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A proof of this key, which the foundry project's test checks.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the contract Verifier, which checks proofs for this key on Ethereum."""
    from plonnx import api
    from plonnx.plonk.keys import Proof, VerifyingKey
    from plonnx.solidity.source import is_split

    report = Report("solidity", json, out)
    if proof is not None and foundry is None:
        raise ValueError("--proof is for the test of --foundry DIR")
    if vk is None or shared:
        if not shared:
            raise typer.BadParameter("MODEL.vk is missing (only --shared takes none)")
        if vk is not None or via_ir or gas_report or foundry is not None:
            raise typer.BadParameter("--shared writes one contract for all models: it takes no key, only -o and --dapp")
        if dapp is not None:
            from plonnx.solidity.dapp import shared_files

            _all_written(report, dapp, shared_files(), "files")
        if out is not None or dapp is None:
            _source_written(report, api.emit_shared_verifier(), out)
        report.finish()
        return
    with report.stage("load", f"reading {vk}"):
        key = VerifyingKey.load(vk)
        fixture = None if proof is None else Proof.load(proof)
    with report.stage("solidity", "writing the contract"):
        source = api.emit_solidity(key, via_ir=via_ir)
    report.fields |= {"unsafe": key.unsafe, "split": is_split(key, via_ir)}
    if gas_report:
        _report_gas(report, key, vk)
    if dapp is not None:
        from plonnx.solidity.dapp import dapp_files

        with report.stage("dapp", "compiling the contract"):
            files = dapp_files(key, via_ir)
        _all_written(report, dapp, files, "files")
    if foundry is not None:
        from plonnx.solidity.dapp import foundry_files

        _all_written(report, foundry, foundry_files(key, fixture, via_ir), "foundry")
    if out is not None or not (gas_report or dapp or foundry):
        _source_written(report, source, out)
    report.finish()


def _report_gas(report: Report, key: VerifyingKey, path: Path) -> None:
    """What a verification costs; with MODEL.circuit beside the key also what another layout would."""
    from plonnx.inspection import circuit_beside
    from plonnx.levers import levers
    from plonnx.solidity import gas_report
    from plonnx.solidity.gas import SHARED

    predicted = gas_report(key)
    try:
        shared = gas_report(key, shared=True).total
    except ValueError:  # longer than a contract that holds a key
        shared = None
    with report.stage("levers", "looking at other layouts"):
        circuit = circuit_beside(path, key)
        changes = levers(key, circuit)
    report.fields["gas"] = predicted.as_dict()
    report.fields |= {"drafts": predicted.drafts, "shared": shared}
    report.fields["levers"] = [lever.as_dict() for lever in changes]
    for line in predicted.lines():
        report.say(line)
    if shared is not None:
        report.say(f"{SHARED:<26}{shared:>9,}  {shared - predicted.total:+,}")
    report.say("what would save most, each by itself, predicted:" if changes else "nothing here would save 1 %")
    for lever in changes:
        report.say(f"  {lever.gas:>9,} ({-lever.saves:+,})  {lever.change}")
    if circuit is None:
        report.say(f"  (other layouts: with {path.with_suffix('.circuit').name} beside the key)")


def _source_written(report: Report, source: str, out: Path | None) -> None:
    """A contract's source to a file or to stdout."""
    from plonnx.kzg.container import atomic_write

    if out is None:
        report.fields["source"] = source
        report.say(source.rstrip("\n"))
    else:
        atomic_write(out, source.encode())
        report.written(solidity=out)


def _all_written(report: Report, folder: Path, files: Mapping[str, str], field: str) -> None:
    """Texts by their name below a folder, which is made; the report names them."""
    from plonnx.kzg.container import atomic_write

    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / name, text.encode())
    report.fields[field] = sorted(files)
    report.say(f"wrote {', '.join(sorted(files))} to {folder}")


@app.command()
def calldata(
    proof: ProofFile,
    vk: Annotated[
        Path | None, typer.Option("--vk", metavar="FILE", help="The key, for the shared verifier's call.")
    ] = None,
    key_address: KeyAddress = None,
    json: Json = False,
) -> None:
    """Print the call of verify(bytes proof, bytes publicValues, bytes32 context) in hex."""
    from plonnx import api
    from plonnx.inspection import key_beside
    from plonnx.plonk.keys import Proof
    from plonnx.srs_choice import warn

    report = Report("calldata", json)
    with report.stage("load", f"reading {proof}"):
        held = Proof.load(proof)
        call, key = api.calldata(held, vk=vk, key_address=key_address), key_beside(proof, held)
    if key is not None:
        warn(key)
    report.fields["unsafe"] = None if key is None else key.unsafe  # the proof alone does not say
    report.fields["calldata"] = "0x" + call.hex()
    report.fields["bytes"] = {"calldata": len(call)}
    report.say(report.fields["calldata"])
    report.finish()


@app.command()
def deploy(
    rpc_url: RpcUrl,
    vk: Annotated[Path | None, typer.Argument(metavar="MODEL.vk")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="The one verifier of all models, which takes no key: see key-contract.")
    ] = False,
    dry_run: DryRun = False,
    max_fee: MaxFee = MAX_FEE,
    json: Json = False,
) -> None:
    """Create the contract Verifier on a network, with the key in PLONNX_PRIVATE_KEY."""
    from plonnx import api
    from plonnx.plonk.keys import VerifyingKey
    from plonnx.srs_choice import warn

    if (vk is None) != shared:
        raise typer.BadParameter("deploy MODEL.vk or --shared: give one of them")
    report = Report("deploy", json)
    doing = "compiling the contract" if dry_run else "creating the contract"
    if vk is None:
        with report.stage("deploy", doing):
            made = api.deploy_shared_verifier(rpc_url, dry_run=dry_run, max_fee=max_fee)
    else:
        with report.stage("load", f"reading {vk}"):
            key = VerifyingKey.load(vk)
        warn(key)
        with report.stage("deploy", doing):
            made = api.deploy(key, rpc_url, dry_run=dry_run, max_fee=max_fee)
    _deployment(report, made, dry_run)
    report.finish()


def _deployment(report: Report, made: Deployment, dry_run: bool) -> None:
    """What was created, or would be."""
    from dataclasses import asdict

    report.fields.update(asdict(made))
    ether = made.gas * made.fee / 1e18
    paid = f"{made.gas:,} gas, at most {ether:.6f} of the chain's coin"
    if dry_run:
        report.say(f"would create {made.address} on chain {made.chain} from {made.sender}: about {paid}")
    else:
        report.say(f"created {made.address} on chain {made.chain} in {made.transaction}: {paid}")


@app.command("key-contract")
def key_contract(
    vk: Vk,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Write what creates the contract, in hex; of a long key a line for each part.",
        ),
    ] = None,
    rpc_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Create it, with the key in PLONNX_PRIVATE_KEY.")
    ] = None,
    dry_run: DryRun = False,
    max_fee: MaxFee = MAX_FEE,
    json: Json = False,
) -> None:
    """Put this key into a contract, for the shared verifier (solidity --shared): print its hash, write it, create it.

    The hash says which key it is: whoever relies on the shared verifier states it.
    """
    from plonnx import api
    from plonnx.kzg.container import atomic_write
    from plonnx.plonk.keys import VerifyingKey

    if dry_run and rpc_url is None:
        raise typer.BadParameter("--dry-run estimates what --rpc-url URL would create")
    report = Report("key-contract", json, out)
    with report.stage("load", f"reading {vk}"):
        key = VerifyingKey.load(vk)
    held = api.key_contract(key)
    with report.stage("key-contract", "writing the key"):
        code, creations = held.code, held.creations
    report.fields["unsafe"] = key.unsafe
    report.fields["key_hash"] = "0x" + held.hash.hex()
    report.fields["runtime_bytes"] = len(code)
    report.say(f"key hash 0x{held.hash.hex()} ({len(code):,} bytes of code)")
    if out is not None:
        atomic_write(out, "".join(f"0x{creation.hex()}\n" for creation in creations).encode())
        report.written(creation=out)
        if len(creations) > 1:
            report.say(
                f"each line of {out} creates a part of it; the key's contract is the list of the parts: a zero byte and"
                " their addresses (--rpc-url creates all of it)"
            )
    if rpc_url is not None:
        with report.stage("deploy", "creating the contract"):
            made = api.deploy_key(key, rpc_url, dry_run=dry_run, max_fee=max_fee)
        _deployment(report, made, dry_run)
    report.finish()


@app.command("verify-evm")
def verify_evm(
    vk: Vk,
    proof: ProofFile,
    rpc_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A node's JSON-RPC; without it a node is started.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="0x..", help="Call this contract; without it one is deployed with PLONNX_PRIVATE_KEY."),
    ] = None,
    any_code: Annotated[
        bool,
        typer.Option("--any-code", help="Trust the key that the contract reports, though solc here makes other code."),
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="With the shared verifier, and the key in a contract of its own.")
    ] = False,
    key_address: KeyAddress = None,
    max_fee: MaxFee = MAX_FEE,
    json: Json = False,
) -> None:
    """Check a proof with the contract, on an Ethereum node."""
    from plonnx import api
    from plonnx.plonk.keys import Proof, VerifyingKey
    from plonnx.statement import read_statement

    if address is not None and rpc_url is None:
        raise typer.BadParameter("--address needs --rpc-url: the node that has the contract")
    report = Report("verify-evm", json)
    with report.stage("load", "reading the key and the proof"):
        key, candidate = VerifyingKey.load(vk), Proof.load(proof)
        statement = read_statement(key, candidate)
    report.fields["unsafe"] = key.unsafe
    with report.stage("verify-evm", "calling the contract"):
        result = api.verify_evm(
            key,
            candidate,
            rpc_url=rpc_url,
            address=address,
            any_code=any_code,
            shared=shared,
            key_address=key_address,
            max_fee=max_fee,
        )
    report.fields["address"] = result.address
    if result.key is not None:
        report.fields["key"] = {"address": result.key.address, "hash": "0x" + result.key.hash.hex()}
    report.fields["gas"] = {"used": result.gas_used, **result.gas.as_dict()}
    report.fields["bytes"] = {"contract": result.runtime_bytes, "proof": len(candidate.proof)}
    if not result.accepted:
        reason = f" ({result.reason})" if result.reason else ""
        report.refuse(f"the contract at {result.address} refuses the proof{reason}")
    report.statement(statement)
    report.say(
        f"the contract at {result.address} accepts the proof:"
        f" {result.gas_used:,} gas, {result.runtime_bytes:,} bytes of code"
    )
    report.finish()
