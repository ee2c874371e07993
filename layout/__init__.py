"""Recorded gadgets -> rows and columns -> a PLONK circuit and its witness. Knows no ONNX.

Read `place` and `geometry` (what stands where), `planner` and what it calls in order: `positions`, `sources`, `parts`,
`draft` (every block gets its place), `rows`. Then `powers`, `readings`, `weight_columns` and `fixed` (the fixed
columns), `arithmetize` (the PLONK circuit) and `witness` (the advice). `counts`, `cost` and `search` choose among
layouts, `circuit` is the compiled model, `file` its file, `inputs` reads what it is run on, `explain` names what fails;
`registration` proves that a private model's key is in range.

Nothing is imported here: proving needs `circuit` and `inputs`, but not sympy.
"""
