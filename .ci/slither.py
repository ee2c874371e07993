"""`make slither`: slither on the verifiers, generated and shared, and on the contracts of the examples.

Whatever it finds must be answered in docs/slither.md, in a row with the detector's name and the contract or function.
Slither is installed by pip into build/slither, beside nothing else; its compiler is the solc of .tools. Exit code 1:
what is found and what is answered differ. CI runs it, too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from circuits.agent import agent
from circuits.chain import Model
from circuits.evolving_nft import evolving_nft
from circuits.private_verdict import private_verdict
from circuits.score_oracle import score_oracle
from plonnx.solidity import node
from plonnx.solidity.dapp import foundry_files
from plonnx.solidity.shared import emit_shared_verifier

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "slither"
SLITHER = "slither-analyzer==0.11.6"
INSTALLED = BUILD / SLITHER
# Slither speaks to solc through pipes, on which solc's JavaScript fails, and takes no line before the answer.
SOLC = """#!/usr/bin/env bash
[ "$1" != --version ] || exec {command} --version
question=$(mktemp) answer=$(mktemp)
trap 'rm -f "$question" "$answer"' EXIT
cat >"$question"
{command} --standard-json <"$question" >"$answer"
sed -n '/^{{/,$p' "$answer"
"""


def subjects() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Sources by file name, with a name for them all: each example, two beside their verifiers, and the shared one.

    Verifiers are written from one template. These two have every function of it: one is long, one of a private model.
    """
    models = {
        agent.SOURCE: Model.made(agent.decider(), agent.samples()),
        evolving_nft.SOURCE: Model.made(evolving_nft.grower(), evolving_nft.samples()),
        score_oracle.SOURCE: Model.made(score_oracle.scorer(), score_oracle.samples()),
        private_verdict.SOURCE: Model.made(private_verdict.guard(), private_verdict.samples(), model="private"),
    }
    whole = (score_oracle.SOURCE, private_verdict.SOURCE)
    for source, model in models.items():
        written = {Path(name): text for name, text in foundry_files(model.pk.vk).items()}
        files = {path.name: text for path, text in written.items() if path.parent.name == "src"}
        if source not in whole:
            del files["Verifier.sol"]
        yield source.stem, {**files, source.name: source.read_text()}
    contracts = ROOT / "solidity" / "contracts"
    beside = {name: (contracts / name).read_text() for name in ("IPlonnxSharedVerifier.sol", "PlonnxRegistry.sol")}
    yield "PlonnxSharedVerifier", {**beside, "SharedVerifier.sol": emit_shared_verifier()}


def findings(subject: str, files: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Detector, `Contract.function` and description of everything that slither says of some sources."""
    folder = BUILD / subject
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    question = node.standard_input(files)
    del question["settings"]["outputSelection"]  # slither asks for what it needs
    (folder / "input.json").write_text(json.dumps(question))
    said = folder / "findings.json"
    said.unlink(missing_ok=True)
    command = [sys.executable, "-m", "slither", "input.json", "--compile-force-framework", "Solc-json"]
    ran = subprocess.run(
        [*command, "--solc", BUILD / "solc", "--json", said.name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(INSTALLED)},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(said.read_text()) if said.exists() else {"success": False, "error": ran.stderr}
    if not answer["success"]:
        sys.exit(f"slither failed on {subject}: {str(answer['error'])[-2000:]}")
    found = answer["results"].get("detectors", [])
    return [(one["check"], _place(one["elements"][0]), one["description"].strip()) for one in found]


def _place(element: Mapping[str, Any]) -> str:
    """The contract and, where there is one, the function of a finding's first element."""
    names: dict[str, str] = {}
    at: Mapping[str, Any] | None = element
    while at:
        names[at["type"]] = at["name"]
        at = at.get("type_specific_fields", {}).get("parent")
    return f"{names.get('contract', '')}.{names.get('function', '')}".rstrip(".")


def answered() -> set[tuple[str, str]]:
    """Detector and place of each row of docs/slither.md."""
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]*) \|", (ROOT / "docs" / "slither.md").read_text(), flags=re.M)
    return {(check, place) for check, places in rows for place in re.findall(r"`([\w.]+)`", places)}


def install() -> None:
    """Slither and what it needs, in a folder of their own, and its compiler."""
    BUILD.mkdir(parents=True, exist_ok=True)
    if not INSTALLED.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        started = INSTALLED.with_suffix(".part")
        subprocess.run([*pip, "--upgrade", "--target", started, SLITHER], check=True)
        started.rename(INSTALLED)
    (BUILD / "solc").write_text(SOLC.format(command=" ".join(f"'{word}'" for word in node.find_solc()[:-1])))
    (BUILD / "solc").chmod(0o755)


def main() -> int:
    """Install, look, compare; the exit code."""
    install()
    known, used, open_ = answered(), set(), 0
    with ThreadPoolExecutor(2) as pool:  # slither is a process of its own: the next model is compiled meanwhile
        looked = [(subject, pool.submit(findings, subject, files)) for subject, files in subjects()]
    for subject, found in looked:
        for check, place, description in found.result():
            answers = {(check, place), (check, place.split(".")[0])} & known
            used |= answers
            if not answers:
                open_ += 1
                print(f"not answered: {check} in {place}: {description}\n")
        print(f"{subject}: {len(found.result())} findings")
    for check, place in sorted(known - used):
        print(f"docs/slither.md answers {check} in {place}, which slither does not find any more")
    print("all findings are answered in docs/slither.md" if not open_ else f"{open_} findings are not answered")
    return int(bool(open_ or known - used))


if __name__ == "__main__":
    sys.exit(main())
