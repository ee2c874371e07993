// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

/// Where the keys of models are, by their hash: an example, for use with PlonnxSharedVerifier. It needs no owner: an entry
/// is true whoever makes it, because the hash is computed here. Which hash is which model's, a registry cannot know: take
/// it from the model's verifying key.
contract PlonnxRegistry {
    /// @notice The contract that holds the key with this hash, zero where none is registered.
    mapping(bytes32 keyHash => address key) public keyOf;

    event Registered(bytes32 indexed keyHash, address key);

    error NoKey();

    /// @notice Register the contract at `key` under the hash of its code, if no contract with that code is known.
    /// @dev Reverts with NoKey unless the code starts with STOP, so that it stays what it is. One that is created to be
    /// gone at the end of its transaction replaces nothing that stands.
    function register(address key) public returns (bytes32 keyHash) {
        bool stops;
        assembly ("memory-safe") {
            mstore(0, not(0))
            extcodecopy(key, 0, 0, 1)
            stops := and(iszero(byte(0, mload(0))), gt(extcodesize(key), 0))
        }
        if (!stops) revert NoKey();
        keyHash = key.codehash;
        if (keyOf[keyHash].codehash != keyHash) {
            keyOf[keyHash] = key;
            emit Registered(keyHash, key);
        }
    }

    /// @notice Create the contract that holds a key, from what `plonnx key-contract` writes, and register it.
    function create(bytes calldata creation) external returns (address key, bytes32 keyHash) {
        assembly ("memory-safe") {
            let code := mload(0x40)
            calldatacopy(code, creation.offset, creation.length)
            key := create(0, code, creation.length)
        }
        keyHash = register(key);
    }
}
