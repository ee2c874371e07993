"""ONNX -> Graph -> the same Graph with a scale and an interval on each tensor -> gadgets.

Read `graph` (the one IR), then `compile`, which calls in this order: `onnx_file` with `normal_form` (a checked file in
one form), `importer` with `input_shapes`, `control_flow` and `refusals` (it becomes a Graph), `passes` (rewrites, read
top to bottom in its `__init__`), `masks` (of scores), `calibration` (ranges, by the float oracle of `float_model`),
`quantize` (scales), `integers` (their types), `lower` with `ops`, `pointwise` (chains of functions) and `fixed_point`
(one handler a node calls the gadgets), `report` (accuracy). From gadgets to rows and columns: layout/.
"""
