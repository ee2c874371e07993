// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

/// What a proof may be used for: pass it to `verify` as the context, and to `plonnx prove --context`.
library PlonnxContext {
    /// @notice The context of one use of a proof: by `sender`, in the contract that calls this, on this chain.
    /// @dev The caller counts the nonce up when it has acted on a proof, so that none is used twice. `plonnx context`
    /// computes the same: keccak256 of the four words chain id, contract, sender, nonce.
    function once(address sender, uint256 nonce) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), sender, nonce));
    }
}
