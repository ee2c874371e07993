"""A picture of where precision goes: the error of each tensor against its range, along the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from plonnx.kzg.container import FileError
from plonnx.kzg.wording import option

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    from plonnx.layout.circuit import ModelCircuit

_PER_CHANNEL = 10.0
_NAMED = 40
"""Of more tensors only the worst are named."""
_LEAST = 1e-7
"""Smaller errors are drawn here: the axis is logarithmic."""


def plot_errors(circuit: ModelCircuit, path: str | Path) -> None:
    """Draw what the circuit's report says, in the format that the file's ending names (.png, .svg, .pdf).

    FileError where matplotlib is missing or does not know the format.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter
    except ImportError:
        raise FileError(f"{option('plot')} draws with matplotlib: pip install plonnx[plot]") from None
    try:
        _draw(circuit, Figure, FuncFormatter).savefig(path, dpi=120)
    except (AttributeError, KeyError, TypeError) as error:
        raise FileError(f"circuit {circuit.name}: its report has no errors of tensors") from error
    except ValueError as error:
        raise FileError(f"{path}: {str(error).splitlines()[0]}") from error


def _draw(circuit: ModelCircuit, canvas: type[Figure], formatter: type[FuncFormatter]) -> Figure:
    report = circuit.report
    inner, outputs = list(report["inner"]), list(report["outputs"])
    every = [*inner, *outputs]
    places = range(len(every))
    figure = canvas(figsize=(min(14.0, 8.0 + 0.15 * len(every)), 4.8), layout="constrained")
    axes = figure.add_subplot()
    whole = [max(error["max_relative"], _LEAST) for error in every]
    first = len(inner)
    axes.vlines(places, _LEAST, whole, color="0.85", linewidth=1.5, zorder=1)
    axes.plot(places[:first], whole[:first], "o", color="tab:blue", label="inner tensor")
    axes.plot(places[first:], whole[first:], "s", color="tab:red", label="output")
    judged = [place for place in places if every[place]["channel"]]
    if judged:
        channels = [max(every[place]["max_channel_relative"], _LEAST) for place in judged]
        axes.plot(judged, channels, "x", color="0.35", label="its worst channel, of the channel's range")
    target = report["error_target"]
    for level, line, what in ((target, "-", "target of outputs"), (_PER_CHANNEL * target, ":", "of their channels")):
        if level > 0.0:
            axes.axhline(level, color="tab:red", linewidth=1, linestyle=line, label=f"{what}, {level:.2%}")
    axes.set_yscale("log")
    axes.set_ylim(bottom=_lowest(whole, target))
    axes.set_ylabel("largest error / range of the tensor")
    named = (
        set(places)
        if len(every) <= _NAMED
        else {*sorted(places, key=whole.__getitem__)[-_NAMED // 2 :], *places[first:]}
    )
    shown = sorted(named)
    axes.set_xticks(
        shown, [_label(every[place], place >= first) for place in shown], rotation=60, ha="right", fontsize=8
    )
    title = f"{circuit.name}: a table of 2^{report['table_bits']}, {report['samples']} calibration samples"
    figure.suptitle(title, fontsize=11)
    axes.set_xlim(-0.5, len(every) - 0.5)
    axes.yaxis.set_major_formatter(formatter(lambda share, _: f"{100 * share:g}%"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _lowest(errors: list[float], target: float) -> float:
    """A little below the smallest error that is one."""
    real = [error for error in errors if error > _LEAST]
    return 0.5 * min([*real, target or _LEAST])


def _label(error: dict[str, Any], output: bool) -> str:
    """The model's name of the tensor, shortened in the middle."""
    name = error["name"] if output else error["name"].partition("~")[0]
    name = name if len(name) <= 28 else f"{name[:12]}..{name[-13:]}"
    if not error["channel"]:
        return str(name)
    axis, index = error["channel"]
    return f"{name} [{', '.join([*(':' for _ in range(axis)), str(index)])}]"
