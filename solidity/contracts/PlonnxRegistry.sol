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

    /// @notice Register the contract at `key`, or the list of contracts, under the hash of the key that is there, if no
    /// contract with that key is known.
    /// @dev Reverts with NoKey unless all code starts with STOP, so that it stays what it is. One that is created to be
    /// gone at the end of its transaction replaces nothing that stands.
    function register(address key) public returns (bytes32 keyHash) {
        keyHash = hashOf(key);
        if (keyHash == 0) revert NoKey();
        if (hashOf(keyOf[keyHash]) != keyHash) {
            keyOf[keyHash] = key;
            emit Registered(keyHash, key);
        }
    }

    /// @notice The hash of the key at an address, as the shared verifier computes it; zero where there is none.
    /// @dev Code of less than 256 bytes is a list of the contracts that hold the key's parts: protocol section 12.
    function hashOf(address key) public view returns (bytes32 keyHash) {
        assembly ("memory-safe") {
            let code := mload(0x40)
            let size := extcodesize(key)
            let stops := gt(size, 0)
            extcodecopy(key, code, 0, size)
            stops := and(stops, iszero(byte(0, mload(code))))
            if and(stops, lt(size, 256)) {
                // Whole addresses: what completes another one is zero for the shared verifier, here what stands in memory.
                stops := iszero(mod(sub(size, 1), 20))
                let place := add(code, 1)
                let end := add(code, size)
                code := add(code, 256)
                mstore8(code, 0)
                size := 1
                for {} lt(place, end) { place := add(place, 20) } {
                    let part := shr(96, mload(place))
                    let length := extcodesize(part)
                    mstore(0, not(0))
                    extcodecopy(part, 0, 0, 1)
                    stops := and(stops, and(gt(length, 0), iszero(byte(0, mload(0)))))
                    if iszero(stops) { break }
                    extcodecopy(part, add(code, size), 1, sub(length, 1))
                    size := add(size, sub(length, 1))
                }
            }
            if stops { keyHash := keccak256(code, size) }
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
