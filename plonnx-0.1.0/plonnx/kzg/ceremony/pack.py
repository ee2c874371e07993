"""Pack what a ceremony published into a binary file of this folder.

The input is c-kzg's text file (one hexadecimal value a line) or a file of Midnight's catalogue (kzg/ceremonies.py).
"""

import sys
from pathlib import Path

from plonnx import _native


def pack(content: bytes) -> bytes:
    """The monomial G1 points, then [1]_2 and [tau]_2, all compressed."""
    return _text(content.decode()) if content[:4].isdigit() else _extended(content)


def _text(text: str) -> bytes:
    lines = text.split()
    g1_count, g2_count = int(lines[0]), int(lines[1])
    g2 = lines[2 + g1_count : 4 + g1_count]
    monomial = lines[2 + g1_count + g2_count :]
    if len(monomial) != g1_count:
        raise ValueError(f"{len(monomial)} monomial points, {g1_count} announced")
    return bytes.fromhex("".join(monomial + g2))


def _extended(content: bytes) -> bytes:
    size = 1 << int.from_bytes(content[:4], "little")
    if len(content) != 4 + 2 * 96 * size + 2 * 192:
        raise ValueError(f"{len(content)} bytes, {size} powers announced")
    powers = _native.Points.from_bytes(content[4 : 4 + 96 * size]).to_bytes(compressed=True)
    return powers + b"".join(_native.g2_to_compressed(point) for point in (content[-384:-192], content[-192:]))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pack(Path(sys.argv[1]).read_bytes()))
