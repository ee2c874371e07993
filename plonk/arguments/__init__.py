"""The arguments: each adds defined columns (with their gates) to a circuit. Read lookup, then running_sum, then permutation."""
