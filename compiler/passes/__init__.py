"""Rewrites of the graph, one file a rewrite, composed in the list below, read top to bottom.

A pass takes a Graph and gives a Graph that computes the same function. The list is repeated until it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plonnx.compiler.graph import Graph
from plonnx.compiler.passes.affine_to_convolution import affine_to_convolution
from plonnx.compiler.passes.canonical_arithmetic import canonical_arithmetic
from plonnx.compiler.passes.centred_streams import centred_streams
from plonnx.compiler.passes.common_subexpressions import common_subexpressions
from plonnx.compiler.passes.consecutive_layers import consecutive_layers
from plonnx.compiler.passes.dead_code import dead_code
from plonnx.compiler.passes.expand import expand
from plonnx.compiler.passes.fold_constants import fold_constants
from plonnx.compiler.passes.fold_into_convolution import fold_into_convolution
from plonnx.compiler.passes.fold_into_gemm import fold_into_gemm
from plonnx.compiler.passes.fold_padding import fold_padding
from plonnx.compiler.passes.fold_through_concat import fold_through_concat
from plonnx.compiler.passes.fold_through_flatten import fold_through_flatten
from plonnx.compiler.passes.guarded_divisors import guarded_divisors
from plonnx.compiler.passes.matmul_to_gemm import matmul_to_gemm
from plonnx.compiler.passes.merge_constants import merge_constants
from plonnx.compiler.passes.named_functions import named_functions
from plonnx.compiler.passes.normalise_gemm import normalise_gemm
from plonnx.compiler.passes.patches_to_gemm import patches_to_gemm
from plonnx.compiler.passes.quantized_copies import quantized_copies
from plonnx.compiler.passes.quantized_layers import quantized_layers
from plonnx.compiler.passes.relu_before_max_pool import relu_before_max_pool
from plonnx.compiler.passes.remove_identities import remove_identities
from plonnx.compiler.passes.scale_channels import scale_channels
from plonnx.compiler.passes.scale_factors import scale_factors
from plonnx.compiler.passes.signed_shifts import signed_shifts
from plonnx.compiler.passes.sink_scalars import sink_scalars

PASSES: Sequence[Callable[..., Graph]] = [
    named_functions,
    signed_shifts,
    quantized_copies,
    quantized_layers,
    guarded_divisors,
    expand,
    fold_constants,
    remove_identities,
    canonical_arithmetic,
    merge_constants,
    sink_scalars,
    scale_factors,
    centred_streams,
    matmul_to_gemm,
    normalise_gemm,
    fold_into_gemm,
    fold_through_flatten,
    fold_through_concat,
    fold_padding,
    fold_into_convolution,
    consecutive_layers,
    affine_to_convolution,
    relu_before_max_pool,
    scale_channels,
    common_subexpressions,
    dead_code,
    patches_to_gemm,
]

_OTHERWISE_HIDDEN: Sequence[Callable[..., Graph]] = (
    named_functions,
    signed_shifts,
    quantized_layers,
    guarded_divisors,
    expand,
    fold_constants,
    common_subexpressions,
    centred_streams,
)
"""The passes that do otherwise for a private model: the first look at the values of constants."""
_ROUNDS = 100


def optimize(graph: Graph, hidden: bool = False) -> Graph:
    """Run the passes until they change nothing. hidden: what they do depends on shapes alone, on no real constant."""
    for _ in range(_ROUNDS):
        before = _signature(graph)
        for rewrite in PASSES:
            graph = rewrite(graph, hidden=True) if hidden and rewrite in _OTHERWISE_HIDDEN else rewrite(graph)
        if _signature(graph) == before:
            return graph
    raise AssertionError(f"the passes still change the graph after {_ROUNDS} rounds")


def _signature(graph: Graph) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(node.op, node.inputs, node.outputs) for node in graph.nodes]


__all__ = ["PASSES", "optimize"]
