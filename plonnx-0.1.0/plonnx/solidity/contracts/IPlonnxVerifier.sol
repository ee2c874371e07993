// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

/// What every verifier contract of plonnx answers, whatever its model.
interface IPlonnxVerifier {
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

    /// @notice Whether `proof` proves that the model maps the inputs to the outputs in `publicValues`, for `context`.
    /// @dev False for any other bytes. Reverts with InsufficientGas where the gas does not suffice to tell; an invalid
    /// point burns twice the price of the precompiles.
    /// @param context What the proof may be used for, see PlonnxContext; zero where the prover was told nothing. Compute
    /// it, never take it from a caller.
    function verify(bytes calldata proof, bytes calldata publicValues, bytes32 context) external view returns (bool);

    /// @notice Reverts with the reason unless `verify` returns true.
    function requireValid(bytes calldata proof, bytes calldata publicValues, bytes32 context) external view;

    /// @notice Whether `verify` returns true for every one of several proofs, at about half the price of each.
    /// @dev False for lists of different lengths or none.
    function verifyBatch(bytes[] calldata proofs, bytes[] calldata publicValues, bytes32[] calldata contexts)
        external view returns (bool);

    /// @notice Reverts with a reason unless `verifyBatch` returns true.
    function requireValidBatch(bytes[] calldata proofs, bytes[] calldata publicValues, bytes32[] calldata contexts)
        external view;

    /// @notice The name of what was compiled; a label.
    function MODEL() external view returns (string memory);

    /// @notice keccak256 of the verifying key: which model, in which circuit, with which setup.
    function VK_DIGEST() external view returns (bytes32);

    /// @notice Whether the setup's secret is known, so that anyone can forge proofs.
    function UNSAFE_SRS() external view returns (bool);

    /// @notice The length of a proof.
    function PROOF_BYTES() external view returns (uint256);

    /// @notice The length of the public values.
    function PUBLIC_VALUES_BYTES() external view returns (uint256);
}
