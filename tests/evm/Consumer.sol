// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

interface IVerifier {
    function verify(bytes calldata proof, bytes calldata publicValues, bytes32 context) external view returns (bool);
}

/// A dapp that takes each sender's proof once.
contract Consumer {
    IVerifier private immutable verifier;
    mapping(address => uint256) public nonces;

    constructor(IVerifier verifier_) {
        verifier = verifier_;
    }

    function use(bytes calldata proof, bytes calldata publicValues) external {
        bytes32 context = PlonnxContext.once(msg.sender, nonces[msg.sender]++);
        require(verifier.verify(proof, publicValues, context), "no");
    }
}
