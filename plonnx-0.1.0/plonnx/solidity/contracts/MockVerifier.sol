// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

/// FOR TESTS ONLY: says of every proof what it was told to say, so that a dapp can be tried without a chain that has
/// EIP-2537 and without proving.
contract MockVerifier {
    bool public answer = true;

    error PairingFailed();

    function setAnswer(bool answer_) external {
        answer = answer_;
    }

    function verify(bytes calldata, bytes calldata, bytes32) external view returns (bool) {
        return answer;
    }

    function requireValid(bytes calldata, bytes calldata, bytes32) external view {
        if (!answer) revert PairingFailed();
    }

    function verifyBatch(bytes[] calldata, bytes[] calldata, bytes32[] calldata) external view returns (bool) {
        return answer;
    }

    function requireValidBatch(bytes[] calldata, bytes[] calldata, bytes32[] calldata) external view {
        if (!answer) revert PairingFailed();
    }
}
