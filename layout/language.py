"""Language models: an output of scores over a vocabulary at each position of token ids.

Their accuracy is how often the likeliest next token is the float model's, and the perplexity of the ids: the scores of
position p are of the token at p + 1, so that perplexity is exp of the mean of -log softmax(scores[p])[ids[p + 1]].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
NEXT_TOKENS = 0.98
"""The share of positions at which the next token must be the float model's."""
_AT_ONCE = 1 << 22  # scores whose exponentials stand in memory together


def token_ids(inputs: Mapping[str, tuple[Sequence[int], str]], output: tuple[Sequence[int], str]) -> str | None:
    """The input of token ids that an output has scores for: integers, one for each of its rows. By shape and type."""
    shape, dtype = output
    if np.dtype(dtype).kind != "f" or len(shape) < 2 or shape[-1] < 2 or shape[-2] < 2:
        return None
    positions = _long(shape[:-1])
    found = [name for name, (own, kind) in inputs.items() if np.dtype(kind).kind in "iu" and _long(own) == positions]
    return "input_ids" if "input_ids" in found else next(iter(found), None)


def perplexity(scores: Values, ids: Values) -> float | None:
    """Of ids (samples, .., positions) by scores (samples, .., positions, vocabulary); None for ids beyond it."""
    vocabulary = scores.shape[-1]
    rows = scores.reshape(-1, *scores.shape[-2:])
    tokens = np.asarray(ids, np.int64).reshape(len(rows), -1)
    if tokens.shape[1] != rows.shape[1] or tokens.min() < 0 or tokens.max() >= vocabulary:
        return None
    step, total = max(1, _AT_ONCE // (rows.shape[1] * vocabulary)), 0.0
    for start in range(0, len(rows), step):
        some = rows[start : start + step, :-1].astype(np.float64)
        largest = some.max(axis=-1, keepdims=True)
        logs = np.log(np.exp(some - largest).sum(axis=-1)) + largest[..., 0]
        taken = np.take_along_axis(some, tokens[start : start + step, 1:, None], axis=-1)[..., 0]
        total += float((logs - taken).sum())
    return float(np.exp(total / (tokens.size - len(tokens))))


def next_tokens(ours: Values, theirs: Values) -> float:
    """The share of positions at which the largest scores stand in the same place."""
    return float(np.mean(ours.argmax(axis=-1) == theirs.argmax(axis=-1)))


def _long(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its axes of length one."""
    return tuple(extent for extent in shape if extent != 1)
