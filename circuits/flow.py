"""Draws the flow of each example on a chain, flow.svg in its folder: `make docs`. `--check` writes nothing.

Who takes part stands at the top; time runs downwards. An arrow is a message, a box is what somebody does alone, and
what is refused is red.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from docs.derived import ROOT, publish

WIDTH, MARGIN, ROW, LINE = 1040, 112, 48, 16
INK, PAPER, GREY = "#1a202c", "#ffffff", "#a0aec0"
BLUE, GREEN, RED = "#2b6cb0", "#2f855a", "#c53030"


@dataclass(frozen=True)
class Step:
    """A message, or (to oneself) a deed. Texts have at most two lines, apart by a line's end."""

    source: str
    target: str
    text: str
    refused: bool = False


def no(source: str, target: str, text: str) -> Step:
    """A message that is refused."""
    return Step(source, target, text, refused=True)


FLOWS: dict[str, tuple[Sequence[str], Sequence[Step]]] = {
    "agent": (
        ("Oracle", "Alice", "Eve", "Agent", "Verifier", "Exchange"),
        (
            Step("Oracle", "Agent", "nine prices, round 9"),
            Step("Alice", "Alice", "runs the model on the\nreturns, proves its decision"),
            Step("Alice", "Agent", "trade(proof, values)"),
            Step("Agent", "Agent", "the oracle's returns?\na new round?"),
            Step("Agent", "Verifier", "verify(proof, values,\nonce(Alice, round 9))"),
            Step("Verifier", "Agent", "true"),
            Step("Agent", "Exchange", "buy 10"),
            no("Eve", "Agent", "a copy of the proof:\nProofRefused"),
            no("Alice", "Agent", "another decision or model: ProofRefused"),
            no("Alice", "Agent", "again: AlreadyTraded"),
        ),
    ),
    "evolving_nft": (
        ("Alice", "Creature", "Verifier", "Eve"),
        (
            Step("Alice", "Creature", "mint(): strength 37, wit 29, ..."),
            Step("Alice", "Alice", "chooses the hours,\nproves what comes of it"),
            Step("Alice", "Creature", "evolve(1, proof, values)"),
            Step("Creature", "Creature", "from its traits?\nat most 12 hours?"),
            Step("Creature", "Verifier", "verify(proof, values,\nonce(Alice, 1, generation 0))"),
            Step("Verifier", "Creature", "true"),
            Step("Creature", "Creature", "strength 43, wit 33, ...\ngeneration 1"),
            no("Alice", "Creature", "another trait: ProofRefused"),
            no("Alice", "Creature", "again: NotItsTraits"),
            Step("Alice", "Eve", "sells it"),
            no("Eve", "Creature", "with a proof of Alice's: ProofRefused"),
        ),
    ),
    "score_oracle": (
        ("Attester", "Publisher", "ScoreOracle", "Verifier", "Lender"),
        (
            Step("Attester", "ScoreOracle", "attest(borrower, features): report 1"),
            Step("Publisher", "Publisher", "runs the model on the\nfeatures, proves the score"),
            Step("Publisher", "ScoreOracle", "publish(1, proof, values)"),
            Step("ScoreOracle", "ScoreOracle", "the report's features?\nnot yet published?"),
            Step("ScoreOracle", "Verifier", "verify(proof, values,\nonce(Publisher, 1))"),
            Step("Verifier", "ScoreOracle", "true"),
            Step("Lender", "ScoreOracle", "scoreOf(borrower): 0.896"),
            Step("Publisher", "ScoreOracle", "publishMany(..): three\nscores, one pairing"),
            no("Publisher", "ScoreOracle", "another score:\nProofRefused"),
            no("Publisher", "ScoreOracle", "again:\nAlreadyPublished"),
        ),
    ),
    "private_verdict": (
        ("Model's owner", "Alice", "Vault", "Verifier"),
        (
            Step("Model's owner", "Alice", "key, architecture, registration"),
            Step("Alice", "Alice", "verify-registration: the key\ncommits to one model's weights"),
            Step("Alice", "Vault", "deposit, request(shop, amount)"),
            Step("Vault", "Vault", "writes down what the\nmodel will see of it"),
            Step("Model's owner", "Model's owner", "runs the secret model,\nproves its verdict"),
            Step("Model's owner", "Vault", "decide(1, proof, values)"),
            Step("Vault", "Verifier", "verify(proof, values,\nonce(owner, 1))"),
            Step("Verifier", "Vault", "true"),
            Step("Vault", "Vault", "honest: pays the shop\ntheft: puts it back"),
            no("Model's owner", "Vault", "another model, another verdict: ProofRefused"),
        ),
    ),
}


def picture(actors: Sequence[str], steps: Sequence[Step]) -> str:
    """The SVG."""
    space = (WIDTH - 2 * MARGIN) // (len(actors) - 1)
    at = {actor: MARGIN + space * i for i, actor in enumerate(actors)}
    height = 70 + ROW * len(steps) + 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"',
        '    font-family="Helvetica, Arial, sans-serif" font-size="13" text-anchor="middle">',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAPER}"/>',
    ]
    for actor, x in at.items():
        lines.append(f'<path d="M{x} 50V{height - 14}" stroke="{GREY}" stroke-dasharray="3 4"/>')
        lines.append(f'<rect x="{x - 62}" y="18" width="124" height="30" rx="6" fill="{BLUE}"/>')
        lines.append(_text(x, 38, actor, PAPER, "bold"))
    for i, step in enumerate(steps):
        lines += _drawn(step, at[step.source], at[step.target], 84 + ROW * i)
    return "\n".join([*lines, "</svg>", ""])


def _drawn(step: Step, start: int, end: int, y: int) -> list[str]:
    texts = step.text.split("\n")
    if step.source == step.target:
        top = y - 8 - LINE * len(texts) // 2
        half = 4 * max(map(len, texts)) + 8
        box = f'<rect x="{start - half}" y="{top}" width="{2 * half}" height="{LINE * len(texts) + 8}" rx="4"'
        return [
            f'{box} fill="#ebf8ff" stroke="{BLUE}"/>',
            *(_text(start, top + 16 + LINE * i, text, INK) for i, text in enumerate(texts)),
        ]
    colour = RED if step.refused else GREEN if step.text == "true" else INK
    side = 1 if end > start else -1
    tip = end - 2 * side
    middle = (start + end) // 2
    above = [_text(middle, y + 3 - LINE * (len(texts) - i - 1), text, colour) for i, text in enumerate(texts)]
    arrow = [
        f'<path d="M{start} {y + 9}H{tip}" stroke="{colour}" stroke-width="1.5"/>',
        f'<path d="M{tip} {y + 9}l{-9 * side} -4.5v9z" fill="{colour}"/>',
    ]
    cross = f'<path d="M{tip - 24 * side} {y + 3}l12 12m0 -12l-12 12" stroke="{RED}" stroke-width="2.5"/>'
    return [*_behind(above, middle, y, texts), *arrow, *([cross] if step.refused else [])]


def _behind(above: list[str], middle: int, y: int, texts: Sequence[str]) -> list[str]:
    """Text with paper behind it, so that no line of time crosses it."""
    width = 7 * max(map(len, texts)) + 6
    top = y - 9 - LINE * (len(texts) - 1)
    return [
        f'<rect x="{middle - width // 2}" y="{top}" width="{width}" height="{y + 6 - top}" fill="{PAPER}"/>',
        *above,
    ]


def _text(x: int, y: int, text: str, colour: str, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" font-weight="{weight}">{escape(text)}</text>'


def main() -> int:
    """All pictures; the exit code."""
    return max(publish(ROOT / "circuits" / folder / "flow.svg", picture(*flow)) for folder, flow in FLOWS.items())


if __name__ == "__main__":
    sys.exit(main())
