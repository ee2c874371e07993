"""Pack a ceremony's text file (one hexadecimal value a line, as c-kzg ships it) into the binary file of this folder."""

import sys
from pathlib import Path


def pack(text: str) -> bytes:
    """The monomial G1 points, then [1]_2 and [tau]_2, all compressed."""
    lines = text.split()
    g1_count, g2_count = int(lines[0]), int(lines[1])
    g2 = lines[2 + g1_count : 4 + g1_count]
    monomial = lines[2 + g1_count + g2_count :]
    if len(monomial) != g1_count:
        raise ValueError(f"{len(monomial)} monomial points, {g1_count} announced")
    return bytes.fromhex("".join(monomial + g2))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pack(Path(sys.argv[1]).read_text()))
