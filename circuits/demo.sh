#!/usr/bin/env bash
# The README's main job on circuits/digits_mlp, each command with the time it took. `make demo` runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
model=circuits/digits_mlp
out=build/demo
mkdir -p "$out"
export PATH="$PWD/.venv/bin:$PATH"
TIMEFORMAT='    (%R s)'

step() {
    printf '\n$ %s\n' "$*"
    time "$@"
}

printf 'A digit classifier, trained on 8x8 images: compiled, and one image proved.\n'
step plonnx compile "$model/model.onnx" --data "$model/calibration.npz" -o "$out/digits.circuit"
step plonnx setup "$out/digits.circuit"
step plonnx prove "$out/digits.circuit" "$model/input.json" -o "$out/digits.proof"
step plonnx verify "$out/digits.vk" "$out/digits.proof"
step plonnx solidity "$out/digits.vk" -o "$out/Verifier.sol"
if [ -e .tools/.installed ]; then
    step plonnx verify-evm "$out/digits.vk" "$out/digits.proof"
else
    printf '\nNode.js is missing: the contract was written but not run. Install Node 20 or newer and run make demo again.\n'
fi
printf '\nWhat was made lies in %s. Next: README.md, "A first proof".\n' "$out"
