// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

/// The verifier of all models. `key` is where a model's key is, `keyHash` says which key it must be: take it from the
/// model's verifying key (`plonnx key-contract`) and keep it in your contract. Never accept it from a caller.
interface IPlonnxSharedVerifier {
    error WrongKey();
    error WrongProofLength();
    error WrongPublicValuesLength();
    error ScalarNotCanonical();
    error InverseMismatch();
    error InvalidPoint();
    error PairingFailed();
    error WrongBatch();
    error InsufficientGas();
    error PrecompileMissing();
    error UnsafeSetup();

    /// @notice Whether `proof` proves that the key's model maps the inputs to the outputs in `publicValues`, for `context`.
    /// @dev False for any other bytes. Reverts with WrongKey unless the code at `key` has the hash `keyHash`; with
    /// InsufficientGas where the gas does not suffice to tell; with UnsafeSetup for a development setup on a real chain.
    /// @param context What the proof may be used for, see PlonnxContext; zero where the prover was told nothing. Compute
    /// it, never take it from a caller.
    function verify(address key, bytes32 keyHash, bytes calldata proof, bytes calldata publicValues, bytes32 context)
        external view returns (bool);

    /// @notice Reverts with the reason unless `verify` returns true.
    function requireValid(
        address key, bytes32 keyHash, bytes calldata proof, bytes calldata publicValues, bytes32 context
    ) external view;

    /// @notice Whether `verify` returns true for every one of several proofs, at about half the price of each.
    /// @dev False for lists of different lengths or none.
    function verifyBatch(
        address key, bytes32 keyHash, bytes[] calldata proofs, bytes[] calldata publicValues, bytes32[] calldata contexts
    ) external view returns (bool);

    /// @notice Reverts with a reason unless `verifyBatch` returns true.
    function requireValidBatch(
        address key, bytes32 keyHash, bytes[] calldata proofs, bytes[] calldata publicValues, bytes32[] calldata contexts
    ) external view;
}
