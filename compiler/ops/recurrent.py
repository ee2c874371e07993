"""RNN, LSTM and GRU: unrolled into their steps, each a Gemm of [x_t, h] by [W, R] for the gates of one activation.

The constants are the same in every step, so that the steps are one layer that passes over its weights once (lower.py).
Lengths of sequences are constants: a step beyond a sequence's length keeps its state, by re-indexing. The time stands
first (normal_form.py sees to that).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plonnx.compiler.expansion import Steps
from plonnx.compiler.graph import Array, Node
from plonnx.compiler.ops.registry import expands

if TYPE_CHECKING:
    from plonnx.compiler.passes.rewrite import Scene

Places = NDArray[np.int64]
Activation = Callable[[str], str]
_DEFAULTS: Mapping[str, tuple[float, ...]] = {
    "Affine": (1.0, 0.0),
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
    "ScaledTanh": (1.0, 1.0),
    "ThresholdedRelu": (1.0,),
}
"""alpha, or alpha and beta, of the activations that have them."""
_PLAIN = ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")


@dataclass
class _Layer:
    """One direction of a node. States are names of tensors [batch, hidden]; None is zero."""

    steps: Steps
    x: str
    """The operand as rows, one for each time and batch."""
    weights: Array
    """[gates, hidden, input]."""
    recurrent: Array
    """[gates, hidden, hidden]."""
    bias: tuple[Array, Array]
    """Of the input and of the state, [gates, hidden] each."""
    peepholes: Array | None
    activations: Sequence[Activation]
    clip: float | None
    made: dict[tuple[int, ...], tuple[str, str]]
    through: Activation | None = None
    """What operand and state go through before the weights multiply them."""

    @property
    def hidden(self) -> int:
        """Length of the state."""
        return int(self.weights.shape[1])

    def gates(self, which: Sequence[int], x: str, h: str | None, zero: str) -> str:
        """[x, h] [W, R]^T + b of some gates, [batch, len(which) hidden]; the constants are made once."""
        key = tuple(which)
        if key not in self.made:
            stacked = np.concatenate([self.weights[key, :, :], self.recurrent[key, :, :]], axis=2)
            bias = (self.bias[0] + self.bias[1])[key, :]
            matrix = stacked.reshape(-1, stacked.shape[2]).T
            self.made[key] = self.steps.constant(matrix), self.steps.constant(bias.reshape(-1))
        return self.layer(self.joined(x, h or zero), *self.made[key])

    def layer(self, x: str, weights: str, bias: str) -> str:
        """x W + b."""
        rows, columns = self.steps.shape(x)[0], self.steps.shape(weights)[1]
        return self.steps.apply("Gemm", x, weights, bias, shape=(rows, columns))

    def joined(self, x: str, h: str) -> str:
        """[x, h]."""
        (rows, one), (_, other) = self.steps.shape(x), self.steps.shape(h)
        return self.steps.apply("Concat", x, h, shape=(rows, one + other), axis=1)

    def gate(self, gates: str, place: int) -> str:
        """One of several gates side by side."""
        where = np.arange(place * self.hidden, (place + 1) * self.hidden)
        return self.steps.take(gates, where, 1)

    def bounded(self, x: str) -> str:
        """What the node's clip leaves."""
        if self.clip is None:
            return x
        raised = self.steps.apply("Max", x, self.steps.constant(-self.clip, public=True))
        return self.steps.apply("Min", raised, self.steps.constant(self.clip, public=True))

    def peeped(self, x: str, state: str | None, which: int) -> str:
        """x with a peephole at the cell's state."""
        if self.peepholes is None or state is None:
            return x
        weights = self.steps.constant(self.peepholes[which])
        return self.steps.apply("Add", x, self.steps.apply("Mul", state, weights))


State = tuple[str | None, ...]
Cell = Callable[[_Layer, str, State, str], State]


def _rnn(layer: _Layer, x: str, state: State, zero: str) -> State:
    """f(W x + R h + b)."""
    (f,) = layer.activations
    return (f(layer.bounded(layer.gates((0,), x, state[0], zero))),)


def _gru(layer: _Layer, x: str, state: State, zero: str) -> State:
    """z, r = f(..); n = g(W x + R (r h) + b), or g(W x + r (R h + b)); (1 - z) n + z h = n + z (h - n)."""
    steps, (f, g), (h,) = layer.steps, layer.activations, state
    both = f(layer.bounded(layer.gates((0, 1), x, h, zero)))
    z, r = layer.gate(both, 0), layer.gate(both, 1)
    if steps.node.attributes.get("linear_before_reset", 0):
        if (2,) not in layer.made:
            layer.made[(2,)] = steps.constant(layer.weights[2].T), steps.constant(layer.bias[0][2])
            layer.made[(3,)] = steps.constant(layer.recurrent[2].T), steps.constant(layer.bias[1][2])
        inner = layer.layer(h or zero, *layer.made[(3,)]) if h else layer.made[(3,)][1]
        pre = steps.apply("Add", layer.layer(x, *layer.made[(2,)]), steps.apply("Mul", r, inner))
    else:
        pre = layer.gates((2,), x, h and steps.apply("Mul", r, h), zero)
    n = g(layer.bounded(pre))
    if not h:  # no difference of nearly equal numbers where z is close to one
        return (steps.apply("Mul", steps.apply("Sub", steps.constant(1.0, public=True), z), n),)
    return (steps.apply("Add", n, steps.apply("Mul", z, steps.apply("Sub", h, n))),)


def _lstm(layer: _Layer, x: str, state: State, zero: str) -> State:
    """i, o, f = f(..); c = f c + i g(..); h = o h(c)."""
    steps, (f, g, h_of), (h, c) = layer.steps, layer.activations, state
    if h and layer.through:
        h = layer.through(h)
    coupled = bool(steps.node.attributes.get("input_forget", 0))
    if layer.peepholes is None:
        kinds = (0, 1) if coupled else (0, 1, 2)
        gates = f(layer.bounded(layer.gates(kinds, x, h, zero)))
        i, o = layer.gate(gates, 0), layer.gate(gates, 1)
        forget = None if coupled else layer.gate(gates, 2)
    else:
        i = f(layer.bounded(layer.peeped(layer.gates((0,), x, h, zero), c, 0)))
        forget = None if coupled else f(layer.bounded(layer.peeped(layer.gates((2,), x, h, zero), c, 2)))
    taken = steps.apply("Mul", i, g(layer.bounded(layer.gates((3,), x, h, zero))))
    if c is not None:
        if forget is None:
            forget = steps.apply("Sub", steps.constant(1.0, public=True), i)
        taken = steps.apply("Add", steps.apply("Mul", forget, c), taken)
    if layer.peepholes is not None:
        o = f(layer.bounded(layer.peeped(layer.gates((1,), x, h, zero), taken, 1)))
    return steps.apply("Mul", o, h_of(taken)), taken


def _activations(steps: Steps, count: int, defaults: Sequence[str], directions: int) -> list[list[Activation]]:
    """For each direction; alphas and betas are taken in order by those that have them."""
    given = steps.node.attributes
    names = list(given.get("activations", [*defaults] * directions))
    alphas, betas = iter(given.get("activation_alpha", ())), iter(given.get("activation_beta", ()))
    made = [_activation(steps, name, alphas, betas) for name in names]
    return [made[start : start + count] for start in range(0, count * directions, count)]


def _activation(steps: Steps, name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    known = {each.lower(): each for each in (*_DEFAULTS, *_PLAIN)}
    if name.lower() not in known:
        raise steps.refuse(f"its activation {name!r} is not supported")
    op = known[name.lower()]
    if op in _PLAIN:
        return lambda x: steps.apply(op, x)
    defaults = _DEFAULTS[op]
    values = [float(next(source, value)) for source, value in zip((alphas, betas), defaults, strict=False)]
    if op == "Affine":
        return lambda x: _affine(steps, x, *values)
    if op == "ScaledTanh":
        return lambda x: _scaled(steps, steps.apply("Tanh", _scaled(steps, x, values[1])), values[0])
    attributes: dict[str, Any] = dict(zip(("alpha", "beta"), values, strict=False))
    return lambda x: steps.apply(op, x, **attributes)


def _scaled(steps: Steps, x: str, factor: float) -> str:
    return steps.apply("Mul", x, steps.constant(factor, public=True))


def _affine(steps: Steps, x: str, alpha: float, beta: float) -> str:
    return steps.apply("Add", _scaled(steps, x, alpha), steps.constant(beta, public=True))


def _unrolled(
    scene: Scene,
    node: Node,
    cell: Cell,
    gates: int,
    states: int,
    defaults: Sequence[str],
    through: Callable[[Steps, str], str] | None = None,
) -> list[Node]:
    """All directions and steps, and the outputs: every state h, the last h, the last c."""
    steps, given = Steps(scene, node), node.attributes
    names = [*node.inputs, *[""] * 8][:8]
    time, batch, width = scene.shape(names[0])
    direction = str(given.get("direction", "forward"))
    directions = 2 if direction == "bidirectional" else 1
    constants = [_constant(steps, name, what) for name, what in zip(names[1:4], ("W", "R", "B"), strict=True)]
    weights, recurrent, bias = constants
    assert weights is not None and recurrent is not None, "they are no optional operands"
    hidden = recurrent.shape[-1]
    lengths = _lengths(steps, names[4], time, batch)
    peepholes = _constant(steps, names[7], "P") if states > 1 else None
    activations = _activations(steps, len(defaults), defaults, directions)
    x = steps.reshape(names[0], (time * batch, width))
    if through:
        x = through(steps, x)
    zero = steps.constant(np.zeros((batch, hidden)), public=True)
    numbers, rows = np.arange(batch), list[str]()
    finals: list[State] = []
    for way in range(directions):
        both = np.zeros((2, gates, hidden)) if bias is None else bias[way].reshape(2, gates, hidden)
        layer = _Layer(
            steps,
            x,
            weights[way].reshape(gates, hidden, -1),
            recurrent[way].reshape(gates, hidden, hidden),
            (both[0], both[1]),
            None if peepholes is None else peepholes[way].reshape(3, hidden),
            activations[way],
            given.get("clip"),
            {},
            partial(through, steps) if through else None,
        )
        state = tuple(_initial(steps, name, way) for name in names[5 : 5 + states])
        backwards = direction == "reverse" or way == 1
        for step in range(time):
            going = step < lengths
            at = np.where(going, lengths - 1 - step if backwards else step, 0)
            taken = steps.take(x, at * batch + numbers, 0)
            new = cell(layer, taken, state, zero)
            rows.append(new[0] or zero)
            if not going.all():
                new = tuple(_kept(steps, now, before or zero, going) for now, before in zip(new, state, strict=True))
            state = new
        finals.append(state)
    every = _every_state(steps, rows, (time, directions, batch), lengths, direction, zero)
    shown = [every, *(_last(steps, [final[k] or zero for final in finals]) for k in range(states))]
    results = []
    for parts, places in shown:
        whole = steps.apply("Concat", *parts, shape=(_height(steps, parts), hidden), axis=0)
        results.append(steps.take(whole, places, 0))
    return steps.finish(*results)


def _constant(steps: Steps, name: str, what: str) -> Array | None:
    value = steps.scene.value(name)
    if name and value is None:
        raise steps.refuse(f"its operand {what} must be a constant of the model")
    return None if value is None else value.astype(np.float64)


def _lengths(steps: Steps, name: str, time: int, batch: int) -> Places:
    value = steps.scene.value(name)
    if name and value is None:
        raise steps.refuse("the lengths of its sequences must be a constant of the model")
    return np.full(batch, time) if value is None else value.astype(np.int64)


def _initial(steps: Steps, name: str, way: int) -> str | None:
    """A direction's initial state as [batch, hidden]."""
    if not name:
        return None
    value, public = steps.scene.value(name), steps.scene.tensors[name].public
    if value is not None:
        return None if public and not np.any(value) else steps.constant(value[way], public)
    return steps.reshape(steps.take(name, np.array([way]), 0), steps.shape(name)[1:])


def _kept(steps: Steps, new: str | None, before: str, going: NDArray[np.bool_]) -> str:
    """The new state where a sequence goes on, the one before where it has ended."""
    assert new is not None, "a step makes every state"
    batch, hidden = steps.shape(before)
    both = steps.apply("Concat", new, before, shape=(2 * batch, hidden), axis=0)
    return steps.take(both, np.arange(batch) + batch * ~going, 0)


def _height(steps: Steps, parts: Sequence[str]) -> int:
    return sum(steps.shape(part)[0] for part in parts)


def _every_state(
    steps: Steps, rows: list[str], extents: tuple[int, int, int], lengths: Places, direction: str, zero: str
) -> tuple[list[str], Places]:
    """Rows, and their places [time, directions, batch]; zeros beyond a sequence's length."""
    time, directions, batch = extents
    at, way, which = np.indices(extents)
    backwards = (way == 1) | (direction == "reverse")
    step = np.where(backwards, lengths - 1 - at, at)
    places = (way * time + step) * batch + which
    ended = at >= lengths
    return (rows, places) if not ended.any() else ([*rows, zero], np.where(ended, directions * time * batch, places))


def _last(steps: Steps, states: list[str]) -> tuple[list[str], Places]:
    """Rows, and their places [directions, batch]."""
    batch = steps.shape(states[0])[0]
    return states, np.arange(len(states) * batch).reshape(-1, batch)


@expands("RNN", since=7)
def rnn(scene: Scene, node: Node) -> list[Node]:
    """A simple recurrent network."""
    return _unrolled(scene, node, _rnn, 1, 1, ["Tanh"])


@expands("GRU", since=7)
def gru(scene: Scene, node: Node) -> list[Node]:
    """Gated recurrent units."""
    return _unrolled(scene, node, _gru, 3, 1, ["Sigmoid", "Tanh"])


@expands("LSTM", since=7)
def lstm(scene: Scene, node: Node) -> list[Node]:
    """Long short-term memory."""
    return unrolled_lstm(scene, node)


def unrolled_lstm(scene: Scene, node: Node, through: Callable[[Steps, str], str] | None = None) -> list[Node]:
    """The steps of an LSTM, of which operand and states may go through a function before its weights."""
    return _unrolled(scene, node, _lstm, 4, 2, ["Sigmoid", "Tanh", "Tanh"], through)
