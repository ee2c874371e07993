"""Names from a key in the contract's source: they stay in a comment and in a string, whatever they hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from plonnx.plonk.keys import VerifyingKey
from plonnx.solidity import ToolError, emit_solidity, node
from tests.evm.trapdoor import random_key

HOSTILE = [
    "*/ contract Evil {} /*",
    "**//*/ */",
    "/* // ///",
    '"; string public constant OTHER = "',
    "\\",
    '\\"; //',
    "\\u002a\\u002f",
    "line\nselfdestruct(msg.sender);",
    "line\rcontract Evil {}",
    "line\u2028contract Evil {}",
    "line\u2029contract Evil {}",
    "line\u0085\u000b\u000c contract Evil {}",
    "\u202e}{ lived tcartnoc \u2066/*\u2069",
    "\u200f*\u200e/",
    "*\u0000/",
    "*\u0007/ \x1b[2J",
    "@notice safe",
    "@custom:security-contact nobody",
    "@inheritdoc Evil",
    "SPDX-License-Identifier: UNLICENSED",
    "spdx-license-identifier: MIT",
    "pragma solidity ^0.4.0;",
    "é*ï/",
    "\ud800",
    "x" * 5000,
]
KEY, _ = random_key(3, advice=6, fixed=4, ops=20)
PLACES = ("model", "tensor", "role")


def named(name: str, place: str) -> VerifyingKey:
    """A key with a name in one place. Reading a key refuses some of these names; a key in memory may have any."""
    vk = KEY
    if place == "model":
        return replace(vk, model=name)
    first = vk.tensors[0]
    changed = replace(first, name=name) if place == "tensor" else replace(first, role=name)
    return replace(vk, tensors=(changed, *vk.tensors[1:]))


def code_of(source: str) -> str:
    """The source without comments, and without what depends on the key's digest and on the model's name."""
    text = re.sub(r'string public constant MODEL = "[ !#-\[\]-~]*";', "", source)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"//.*", "", text)
    return re.sub(r"0x[0-9a-f]{64}", "", text)


@pytest.fixture
def without_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest covers the names; a lone surrogate has no bytes to cover."""
    monkeypatch.setattr(VerifyingKey, "digest", bytes(range(32)))


@pytest.mark.usefixtures("without_digests")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_names_change_nothing_but_comments(place: str, number: int) -> None:
    source = emit_solidity(named(HOSTILE[number], place))
    assert source.isascii() and all(line.isprintable() for line in source.splitlines())
    assert len(source.splitlines()) == len(emit_solidity(named("x", place)).splitlines())
    assert max(map(len, source.splitlines()[:60])) < 400
    assert code_of(source) == code_of(emit_solidity(named("x", place)))
    comments = "".join(re.findall(r"/\*.*?\*/", source, flags=re.S))
    assert "@" not in comments, "a tag of NatSpec"
    assert len(re.findall("SPDX", source, flags=re.I)) == 1


@pytest.mark.usefixtures("without_digests")
def test_the_compiler_agrees() -> None:
    """All hostile names at once: one contract, of the same code as with plain names."""
    try:
        node.find_solc()
    except ToolError as error:
        pytest.skip(str(error))
    built = []
    for names in (HOSTILE, ["x"] * len(HOSTILE)):
        tensors = tuple(replace(KEY.tensors[0], name=name, role=name) for name in names)
        contracts = node.compile_contracts(emit_solidity(replace(KEY, tensors=tensors)))
        assert set(contracts) == {"Verifier"}
        built.append(contracts["Verifier"].runtime)
    metadata = 60  # the source's hash at the end of the code
    assert built[0][:-metadata] == built[1][:-metadata]
