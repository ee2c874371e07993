"""The outside tools: solc and anvil where `make setup` put them or on PATH, and a JSON-RPC client.

Tools are looked for under $PLONNX_TOOLS, then under the project's .tools (each with a node_modules
folder), then on PATH.
"""

from __future__ import annotations

import atexit
import http.client
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from plonnx.kzg.record import printable

SOLC, ANVIL = "0.8.37", "1.7.1"  # solidity/npm/package.json pins the same
SETTINGS = {"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "prague"}
HOW = (
    f"with Node.js 20 or newer, `npm install --prefix tools solc@{SOLC} @foundry-rs/anvil@{ANVIL}` and"
    " PLONNX_TOOLS=tools, or `make setup` in the repository, or put it on PATH"
)


class ToolError(ValueError):
    """A tool that is missing or failed; one line that says what to do."""


class RpcError(ValueError):
    """What an Ethereum node answered instead of a result; `data` is what a call reverted with."""

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


def _modules() -> list[Path]:
    roots = [os.environ.get("PLONNX_TOOLS"), Path(__file__).resolve().parents[1] / ".tools"]
    return [Path(root) / "node_modules" for root in roots if root]


def find_solc() -> list[str]:
    """The command that reads solc's standard JSON from stdin."""
    node = shutil.which("node")
    for modules in _modules():
        if node and (modules / "solc" / "solc.js").is_file():
            return [node, str(modules / "solc" / "solc.js"), "--standard-json"]
    for name in ("solc", "solcjs"):
        if found := shutil.which(name):
            return [found, "--standard-json"]
    raise ToolError(f"solc not found: {HOW}")


def find_anvil() -> str:
    """The anvil binary."""
    for modules in _modules():
        for found in sorted(modules.glob("@foundry-rs/anvil-*/bin/anvil*")):
            return str(found)
    if found_on_path := shutil.which("anvil"):
        return found_on_path
    raise ToolError(f"anvil (a local Ethereum node) not found: {HOW}")


@dataclass(frozen=True)
class Compiled:
    """A contract's code: what deploys it and what then lies on the chain (immutables still zero)."""

    creation: bytes
    runtime: bytes
    metadata: int  # the bytes at the end of `runtime` that describe the source: no code jumps there
    abi: tuple[Any, ...]  # its interface, as JSON has it
    immutables: tuple[tuple[int, ...], ...]  # where in the runtime code each one stands, 32 bytes, as they are declared


def compile_contract(source: str) -> Compiled:
    """The contract `Verifier` of one source file."""
    return compile_contracts(source)["Verifier"]


def standard_input(sources: Mapping[str, str], via_ir: bool = False) -> dict[str, Any]:
    """What solc is asked, in its standard JSON form; block explorers take the same to verify a source."""
    return {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {
            **SETTINGS,
            **({"viaIR": True} if via_ir else {}),
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode"]}},
        },
    }


def compile_contracts(
    source: str, imported: Mapping[str, str] | None = None, name: str = "Verifier.sol", via_ir: bool = False
) -> dict[str, Compiled]:
    """Compile one source file, and those that it imports, with the optimizer, for Prague; its contracts by name."""
    answer = ask_solc(standard_input({**(imported or {}), name: source}, via_ir))
    return {contract: _compiled(made) for contract, made in answer["contracts"][name].items()}


def ask_solc(request: Mapping[str, Any]) -> dict[str, Any]:
    """solc's answer to a standard JSON input; ToolError with its first error. The same question is asked once."""
    return _answered(tuple(find_solc()), json.dumps(request))


@lru_cache(maxsize=16)
def _answered(command: tuple[str, ...], request: str) -> dict[str, Any]:
    output = _warm(command[0], command[1]).ask(request) if command[1].endswith("solc.js") else _asked(command, request)
    start = output.find("{")
    if start < 0:
        raise ToolError(f"solc failed: {output.strip()[:300]}")
    answer: dict[str, Any] = json.loads(output[start:])
    for error in answer.get("errors", []):
        if error["severity"] == "error":
            raise ToolError(f"solc: {error['formattedMessage'].strip()}")
    return answer


def _asked(command: Sequence[str], request: str) -> str:
    """What a solc that answers one question says."""
    # Files, not pipes: solc-js fails on a pipe that is empty for a moment, and exits before a full one is read.
    with tempfile.TemporaryFile("w+") as question, tempfile.TemporaryFile("w+") as said:
        question.write(request)
        question.seek(0)
        done = subprocess.run(command, stdin=question, stdout=said, stderr=subprocess.PIPE, text=True, check=False)
        said.seek(0)
        output = said.read()
    return output if "{" in output else done.stderr


class _WarmSolc:
    """solc's JavaScript in a process that lives as long as this one: only its first answer is slow."""

    SCRIPT = """const solc = require(process.argv[1]);
        require("readline").createInterface({ input: process.stdin })
            .on("line", (line) => process.stdout.write(JSON.stringify(JSON.parse(solc.compile(line))) + "\\n"));"""

    def __init__(self, node: str, module: str) -> None:
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(
            [node, "-e", self.SCRIPT, str(Path(module).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )
        self._lock = threading.Lock()
        atexit.register(self._process.kill)

    def ask(self, request: str) -> str:
        """One question, a line; the answer, or what node complains of."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            try:
                self._process.stdin.write(request + "\n")
                self._process.stdin.flush()
                if answer := self._process.stdout.readline():
                    return answer
            except OSError:
                pass  # it has ended: below is why
            self._complaints.seek(0)
            return self._complaints.read() or "node ended without an answer"


@lru_cache(maxsize=1)
def _started(node: str, module: str, process: int) -> _WarmSolc:
    return _WarmSolc(node, module)


def _warm(node: str, module: str) -> _WarmSolc:
    """The one of this process: a forked one starts its own."""
    return _started(node, module, os.getpid())


def _compiled(contract: dict[str, Any]) -> Compiled:
    evm = contract["evm"]
    references = sorted(evm["deployedBytecode"].get("immutableReferences", {}).items(), key=lambda item: int(item[0]))
    runtime = bytes.fromhex(evm["deployedBytecode"]["object"])
    return Compiled(
        bytes.fromhex(evm["bytecode"]["object"]),
        runtime,
        2 + int.from_bytes(runtime[-2:], "big"),
        tuple(contract["abi"]),
        tuple(tuple(place["start"] for place in places) for _, places in references),
    )


class Rpc:
    """An Ethereum node's JSON-RPC."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        if not url.startswith(("http://", "https://")):
            raise RpcError(f"{url}: not a URL of an Ethereum node (http://..)")
        self.url, self.timeout = url, timeout
        self._ids = itertools.count(1)

    def _post(self, body: Any) -> Any:
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json", "User-Agent": "plonnx"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.loads(answer.read(_MOST_ANSWERED))
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)  # URLError's is what went wrong below it
            said = shown(getattr(reason, "strerror", None) or reason)
            raise RpcError(
                f"{self.url}: no answer of an Ethereum node ({said}): is one running there, and reached from here?"
            ) from error

    def call(self, method: str, *parameters: Any) -> Any:
        """One request; RpcError for an error."""
        return self.batch([(method, parameters)], raising=True)[0]

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]], raising: bool = False) -> list[Any]:
        """Many requests at once; an RpcError stands where a result is missing, or is raised."""
        bodies = [{"jsonrpc": "2.0", "id": next(self._ids), "method": m, "params": list(p)} for m, p in calls]
        answer = self._post(bodies if len(bodies) > 1 else bodies[0])
        answers = [one for one in (answer if isinstance(answer, list) else [answer]) if isinstance(one, dict)]
        by_id = {str(one.get("id")): one for one in answers}
        results = [_result(by_id.get(str(body["id"]), {}), m) for body, (m, _) in zip(bodies, calls, strict=True)]
        if raising:
            for result in results:
                if isinstance(result, RpcError):
                    raise result
        return results


def _result(answer: dict[str, Any], method: str) -> Any:
    if "result" in answer:
        return answer["result"]
    error = answer.get("error")
    error = error if isinstance(error, dict) else {}
    data = error.get("data")
    reverted = bytes.fromhex(data[2:]) if isinstance(data, str) and re.fullmatch(_BYTES, data) else b""
    return RpcError(f"{method}: {shown(error.get('message', 'no answer'))}", reverted)


def quantity(answer: Any) -> int:
    """The number that a node answered."""
    if not isinstance(answer, str) or not re.fullmatch("0x[0-9a-fA-F]{1,64}", answer):
        raise RpcError(f"the node answers {shown(answer)} where a number is due")
    return int(answer, 16)


def content(answer: Any) -> bytes:
    """The bytes that a node answered."""
    if not isinstance(answer, str) or not re.fullmatch(_BYTES, answer):
        raise RpcError(f"the node answers {shown(answer)} where bytes are due")
    return bytes.fromhex(answer[2:])


def shown(said: Any) -> str:
    """What a node said, in short, without anything that a terminal would obey."""
    text = " ".join(str(said).split())
    return "".join(sign if printable(sign) else "?" for sign in text[:_MOST_SHOWN])


_BYTES = "0x(?:[0-9a-fA-F]{2})*"
_MOST_ANSWERED, _MOST_SHOWN = 1 << 26, 300


@contextmanager
def anvil(*arguments: str, hardfork: str = "prague") -> Iterator[Rpc]:
    """A node of our own on a free loopback port, stopped at the end."""
    command = [find_anvil(), "--host", "127.0.0.1", "--port", "0", "--hardfork", hardfork, *arguments]
    # A file, not a pipe: anvil logs every request and would stop at a full pipe.
    with tempfile.NamedTemporaryFile("w+", prefix="anvil.") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield Rpc(_listening(process, Path(log.name)))
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listening(process: subprocess.Popen[bytes], log: Path, seconds: float = 30.0) -> str:
    """The URL that anvil prints once it listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        said = log.read_text()
        if match := re.search(r"Listening on (\S+:\d+)", said):
            return f"http://{match[1]}"
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise ToolError(f"anvil did not start: {' '.join(log.read_text().split())[-300:]}")
