"""ONNX -> Graph -> the same Graph with a scale and an interval on each tensor -> gadgets -> rows and columns.

Read `graph` (the one IR), then `compile`, which calls in this order: `importer` with `shapes` (a checked file becomes a
Graph), `inputs` (data files), `passes` (rewrites, read top to bottom in its `__init__`), `calibration` (ranges, by the
float oracle of `float_model`), `quantize` (scales), `lower` with `ops`, `pointwise` (chains of functions) and
`fixed_point` (one handler a node calls the gadgets), `report` (accuracy). `circuit` is the compiled model,
`builder_file` its file. Into rows and columns: `place` and `geometry` (what stands where), `layout` with
`public_places`, `fixed` (the fixed columns), then `arithmetize` (the PLONK circuit) and `witness` (the advice); `cost`
chooses among layouts.

Nothing is imported here: proving needs `circuit` and `inputs`, but neither onnx nor sympy.
"""
