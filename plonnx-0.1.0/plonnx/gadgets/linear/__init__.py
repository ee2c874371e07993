"""The random linear check: convolutions, dense layers and sums without a row for a multiplication.

Read `check` first (the one equation, and why a wrong output does not pass), then `contribution` (what a layer reads in
place and the weights that come to it), `convolution` and `sum` (the gadgets), `border` (what a full product puts
outside an output).
"""
