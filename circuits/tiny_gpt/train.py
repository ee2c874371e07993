"""Trains a character model on the Zen of Python; writes model.onnx, calibration.npz and input.json beside this file.

    python circuits/tiny_gpt/train.py

A GPT of one layer (width 32, two heads) in numpy, with reverse-mode derivatives below. The ONNX model takes a text,
prompt and answer, and says whether the answer is what the model writes after the prompt: one causal pass over all of
it, the arg-max at each answered place, compared with the character that stands there.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser

HERE = Path(__file__).parent
PROMPT, ANSWER = 12, 8
CONTEXT = PROMPT + ANSWER - 1
WIDTH, HEADS, LAYERS, SEED = 32, 2, 1, 0
STEPS, BATCH, RATE = 1500, 48, 4e-3
SAMPLES = 64
Reals = NDArray[np.float32]
Ids = NDArray[np.int64]
Weights = dict[str, Reals]


def zen() -> str:
    """The text that `import this` prints, in lower case."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return "".join(this.d.get(letter, letter) for letter in this.s).lower()


TEXT = zen().replace("\n", " ").replace("  ", " ").strip() + " "
ALPHABET = sorted(set(TEXT))


def encode(text: str) -> Ids:
    """Characters to their places in ALPHABET."""
    return np.array([ALPHABET.index(letter) for letter in text], np.int64)


def windows(length: int) -> Ids:
    """Every run of so many characters, [n, length]."""
    return np.lib.stride_tricks.sliding_window_view(encode(TEXT + TEXT[: length - 1]), length).copy()


# Derivatives: a value knows what it was made of, and how its derivative goes back there -------------------------------


class Value:
    """An array with its derivative."""

    def __init__(self, array: NDArray[Any], *made: tuple[Value, Callable[[Reals], Reals]]) -> None:
        self.array, self.made = np.asarray(array, np.float32), made
        self.derivative: Reals = np.zeros_like(self.array)

    def backward(self) -> None:
        """Derivatives of all that this scalar depends on."""
        order: list[Value] = []
        seen = set[int]()

        def visit(value: Value) -> None:
            if id(value) not in seen:
                seen.add(id(value))
                for part, _ in value.made:
                    visit(part)
                order.append(value)

        visit(self)
        self.derivative = np.ones_like(self.array)
        for value in reversed(order):
            for part, back in value.made:
                part.derivative = part.derivative + _as(back(value.derivative), part.array.shape)

    def __add__(self, other: Value) -> Value:
        return Value(self.array + other.array, (self, lambda d: d), (other, lambda d: d))

    def __matmul__(self, other: Value) -> Value:
        a, b = self.array, other.array
        return Value(a @ b, (self, lambda d: d @ np.swapaxes(b, -1, -2)), (other, lambda d: np.swapaxes(a, -1, -2) @ d))

    def reshaped(self, *shape: int) -> Value:
        """In another shape."""
        return Value(self.array.reshape(shape), (self, lambda d: d.reshape(self.array.shape)))

    def turned(self, *axes: int) -> Value:
        """With its axes in another order."""
        return Value(self.array.transpose(axes), (self, lambda d: d.transpose(np.argsort(axes))))

    def relu(self) -> Value:
        """max(x, 0)."""
        return Value(np.maximum(self.array, 0), (self, lambda d: d * (self.array > 0)))

    def normalized(self, scale: Value, bias: Value) -> Value:
        """LayerNormalization."""
        centred = self.array - self.array.mean(-1, keepdims=True)
        inverse = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        unit = centred * inverse

        def back(d: Reals) -> Reals:
            d = d * scale.array
            return np.asarray(inverse * (d - d.mean(-1, keepdims=True) - unit * (d * unit).mean(-1, keepdims=True)))

        return Value(unit * scale.array + bias.array, (self, back), (scale, lambda d: d * unit), (bias, lambda d: d))

    def shares(self) -> Value:
        """A causal softmax of scaled scores [.., T, T]."""
        length = self.array.shape[-1]
        factor = 1 / np.sqrt(WIDTH // HEADS)
        scores = np.where(np.tri(length, dtype=bool), self.array * factor, -np.inf)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        made = powers / powers.sum(-1, keepdims=True)
        return Value(made, (self, lambda d: factor * made * (d - (d * made).sum(-1, keepdims=True))))


def _as(derivative: Reals, shape: tuple[int, ...]) -> Reals:
    """Summed over the axes along which an operand was broadcast."""
    extra = derivative.ndim - len(shape)
    summed = derivative.sum(tuple(range(extra)))
    ones = tuple(axis for axis, extent in enumerate(shape) if extent == 1 and summed.shape[axis] > 1)
    return np.asarray(summed.sum(ones, keepdims=True))


# The model ------------------------------------------------------------------------------------------------------------


def drawn(random: np.random.Generator) -> Weights:
    """Weights before training."""

    def matrix(*shape: int) -> Reals:
        return np.asarray(random.standard_normal(shape) / np.sqrt(shape[0]), np.float32)

    held = {
        "letters": matrix(len(ALPHABET), WIDTH),
        "places": matrix(CONTEXT, WIDTH),
        "head": matrix(WIDTH, len(ALPHABET)),
    }
    for layer in range(LAYERS):
        held |= {f"{layer}.qkv": matrix(WIDTH, 3 * WIDTH), f"{layer}.out": matrix(WIDTH, WIDTH)}
        held |= {f"{layer}.up": matrix(WIDTH, 4 * WIDTH), f"{layer}.down": matrix(4 * WIDTH, WIDTH)}
    for name in [*(f"{layer}.{place}" for layer in range(LAYERS) for place in ("first", "second")), "last"]:
        held |= {f"{name}.scale": np.ones(WIDTH, np.float32), f"{name}.bias": np.zeros(WIDTH, np.float32)}
    return held


def logits(weights: dict[str, Value], ids: Ids) -> Value:
    """What comes next, [n, T, characters], for texts [n, T]."""
    count, length = ids.shape
    onehot = np.eye(len(ALPHABET), dtype=np.float32)[ids]
    x = Value(onehot) @ weights["letters"] + weights["places"]
    for layer in range(LAYERS):
        held = {name.partition(".")[2]: value for name, value in weights.items() if name.startswith(f"{layer}.")}
        qkv = x.normalized(held["first.scale"], held["first.bias"]) @ held["qkv"]
        parts = qkv.reshaped(count, length, 3, HEADS, WIDTH // HEADS).turned(2, 0, 3, 1, 4)
        q, k, v = (_entry(parts, number) for number in range(3))
        seen = (q @ k.turned(0, 1, 3, 2)).shares() @ v
        x = x + seen.turned(0, 2, 1, 3).reshaped(count, length, WIDTH) @ held["out"]
        x = x + (x.normalized(held["second.scale"], held["second.bias"]) @ held["up"]).relu() @ held["down"]
    return x.normalized(weights["last.scale"], weights["last.bias"]) @ weights["head"]


def _entry(stack: Value, number: int) -> Value:
    """One entry of the first axis."""

    def back(d: Reals) -> Reals:
        whole = np.zeros_like(stack.array)
        whole[number] = d
        return whole

    return Value(stack.array[number], (stack, back))


def loss(made: Value, wanted: Ids) -> Value:
    """The mean cross entropy."""
    scores = made.array - made.array.max(-1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    chosen = np.eye(scores.shape[-1], dtype=np.float32)[wanted]
    return Value(-(chosen * logs).sum(-1).mean(), (made, lambda d: d * (np.exp(logs) - chosen) / wanted.size))


def train(steps: int = STEPS) -> Weights:
    """By Adam on random windows; a character model that knows its text by heart."""
    random, texts = np.random.default_rng(SEED), windows(CONTEXT + 1)
    weights = drawn(random)
    means = {name: [np.zeros_like(value), np.zeros_like(value)] for name, value in weights.items()}
    for step in range(1, steps + 1):
        batch = texts[random.integers(0, len(texts), BATCH)]
        values = {name: Value(value) for name, value in weights.items()}
        found = loss(logits(values, batch[:, :-1]), batch[:, 1:])
        found.backward()
        rate = RATE * min(step / 50, 1.0) * (1 - step / (steps + 1))
        for name, value in values.items():
            first, second = means[name]
            first += 0.1 * (value.derivative - first)
            second += 0.01 * (value.derivative**2 - second)
            weights[name] = weights[name] - rate * (first / (1 - 0.9**step)) / (
                np.sqrt(second / (1 - 0.99**step)) + 1e-8
            )
        if step % 100 == 0:
            print(f"step {step}: loss {float(found.array):.3f}", flush=True)
    return weights


def greedy(weights: Weights, prompt: str) -> str:
    """The prompt and what the model writes after it."""
    values, text = {name: Value(value) for name, value in weights.items()}, prompt
    for place in range(PROMPT, PROMPT + ANSWER):
        ids = np.zeros((1, CONTEXT), np.int64)
        ids[0, :place] = encode(text)
        text += ALPHABET[int(logits(values, ids).array[0, place - 1].argmax())]
    return text


# ONNX -----------------------------------------------------------------------------------------------------------------


def to_onnx(weights: Weights) -> onnx.ModelProto:
    """text [1, PROMPT + ANSWER], the places of its characters in ALPHABET -> greedy [1], whether the answer is so.

    Characters become rows of `letters` by OneHot: of so few, that is a smaller contract than a table for each column.
    """
    depth, end = WIDTH // HEADS, PROMPT + ANSWER
    nodes = ["read = Slice(text, zero, minus, one)", "o = OneHot(read, depth, values)"]
    nodes += ["e = MatMul(o, letters)", "x0 = Add(e, places)"]
    for n in range(LAYERS):
        nodes += [
            f"a{n} = LayerNormalization(x{n}, w{n}_first_scale, w{n}_first_bias)",
            f"b{n} = MatMul(a{n}, w{n}_qkv)",
            f"c{n} = Reshape(b{n}, apart)",
            f"d{n} = Transpose<perm = [2, 0, 3, 1, 4]>(c{n})",
            f"q{n}, k{n}, v{n} = Split<axis = 0>(d{n}, thirds)",
            f"t{n} = Transpose<perm = [0, 1, 2, 4, 3]>(k{n})",
            f"f{n} = MatMul(q{n}, t{n})",
            f"g{n} = Mul(f{n}, factor)",
            f"h{n} = Add(g{n}, future)",
            f"p{n} = Softmax<axis = -1>(h{n})",
            f"r{n} = MatMul(p{n}, v{n})",
            f"s{n} = Transpose<perm = [0, 1, 3, 2, 4]>(r{n})",
            f"u{n} = Reshape(s{n}, together)",
            f"y{n} = MatMul(u{n}, w{n}_out)",
            f"z{n} = Add(x{n}, y{n})",
            f"i{n} = LayerNormalization(z{n}, w{n}_second_scale, w{n}_second_bias)",
            f"j{n} = MatMul(i{n}, w{n}_up)",
            f"l{n} = Relu(j{n})",
            f"m{n} = MatMul(l{n}, w{n}_down)",
            f"x{n + 1} = Add(z{n}, m{n})",
        ]
    nodes += [
        f"answered = Slice(x{LAYERS}, before, beyond, one)",
        "last = LayerNormalization(answered, last_scale, last_bias)",
        "scores = MatMul(last, head)",
        "best = ArgMax<axis = -1, keepdims = 0>(scores)",
        "answer = Slice(text, first, beyond, one)",
        "same = Equal(best, answer)",
        "number = Cast<to = 7>(same)",
        "count = ReduceSum<keepdims = 0>(number, one)",
        "greedy = Equal(count, all)",
    ]
    head = f'<ir_version: 8, opset_import: ["": 17]> tiny_gpt (int64[1, {end}] text) => (bool[1] greedy)'
    model = parser.parse_model(f"{head} {{ {' '.join(nodes)} }}")
    constants: dict[str, NDArray[Any]] = {
        "zero": np.array([0]),
        "depth": np.array(len(ALPHABET)),
        "values": np.array([0, 1], np.float32),
        "minus": np.array([-1]),
        "one": np.array([1]),
        "before": np.array([PROMPT - 1]),
        "first": np.array([PROMPT]),
        "beyond": np.array([end]),
        "all": np.array(ANSWER),
        "apart": np.array([1, CONTEXT, 3, HEADS, depth]),
        "thirds": np.array([1, 1, 1]),
        "together": np.array([1, CONTEXT, WIDTH]),
        "factor": np.asarray(1 / np.sqrt(depth), np.float32),
        "future": np.where(np.tri(CONTEXT, dtype=bool), 0.0, -np.inf).astype(np.float32),
    }
    named = {_in_onnx(name): value for name, value in weights.items()}
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in {**constants, **named}.items()
    )
    return model


def _in_onnx(name: str) -> str:
    return (f"w{name}" if name[0].isdigit() else name).replace(".", "_")


def weights_of(model: onnx.ModelProto) -> Weights:
    """The weights that `to_onnx` wrote."""
    held = {initializer.name: numpy_helper.to_array(initializer) for initializer in model.graph.initializer}
    return {name: held[_in_onnx(name)] for name in drawn(np.random.default_rng(SEED))}


def written(model: Path, prompt: str) -> str:
    """A prompt and what a model writes after it."""
    return greedy(weights_of(onnx.load(model)), prompt)


def chances(model: Path, text: str) -> Reals:
    """Of each character of a text's answer, how likely the model finds it."""
    values = {name: Value(value) for name, value in weights_of(onnx.load(model)).items()}
    ids = encode(text)
    scores = logits(values, ids[None, :-1]).array[0, PROMPT - 1 :]
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray((powers / powers.sum(-1, keepdims=True))[np.arange(ANSWER), ids[PROMPT:]])


def examples(weights: Weights, random: np.random.Generator, count: int) -> Ids:
    """Prompts of the text with their answers, every fourth of which has a wrong character, [count, 1, length]."""
    starts = random.integers(0, len(TEXT), count)
    texts = [encode(greedy(weights, (TEXT + TEXT)[start : start + PROMPT])) for start in starts]
    made = np.stack(texts)[:, None]
    wrong = np.arange(0, count, 4)
    made[wrong, 0, random.integers(PROMPT, PROMPT + ANSWER, len(wrong))] = random.integers(0, len(ALPHABET), len(wrong))
    return made


def main(steps: int = STEPS, folder: Path = HERE) -> None:
    """Train, write the files."""
    weights = train(steps)
    model = to_onnx(weights)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    np.savez_compressed(folder / "calibration.npz", text=examples(weights, np.random.default_rng(SEED), SAMPLES))
    shown = greedy(weights, "beautiful is")
    print(repr(shown))
    held: Sequence[int] = encode(shown).tolist()
    (folder / "input.json").write_text(json.dumps({"input_data": [held]}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
