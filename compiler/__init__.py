"""ONNX -> Graph -> the same Graph with a scale and an interval on each tensor -> gadgets -> rows and columns.

Read `graph` (the one IR), then `compile`, which calls in this order: `importer` (a checked file becomes a Graph),
`inputs` (data files), `passes` (rewrites, read top to bottom in its `__init__`), `calibration` (ranges, by the float
oracle of `float_model`), `quantize` (scales), `lower` with `ops` and `fixed_point` (one handler a node calls the
gadgets), `report` (accuracy). `circuit` is the compiled model and its file; `layout`, `arithmetize` and `cost` put it
into rows and columns.

Nothing is imported here: proving needs `circuit` and `inputs`, but neither onnx nor sympy.
"""
