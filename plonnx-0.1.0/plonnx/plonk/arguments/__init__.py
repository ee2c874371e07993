"""The arguments: each adds defined columns to a circuit. Read lookup, then running_sum, then permutation."""
