// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

import {IPlonnxVerifier} from "./IPlonnxVerifier.sol";
import {ModelValues} from "./ModelValues.sol";
import {PlonnxContext} from "./PlonnxContext.sol";
import {PlonnxValues} from "./PlonnxValues.sol";

/// @title What a contract that uses scores needs.
interface IScores {
    /// @notice The latest score of a borrower in units of 10^-18, and when it was published; reverts where there is none.
    function scoreOf(address borrower) external view returns (int256 score, uint256 publishedAt);
}

/// @title Credit scores, each published with the proof that the registered model computes it.
/// @notice An attester says what is known of a borrower; anyone publishes the score that follows from it. Nobody chooses a
/// score: not the attester, not the publisher, not whoever deployed this.
contract ScoreOracle is IScores {
    struct Report {
        address borrower;
        bool published;
        int256[] features;
    }

    struct Score {
        int256 value;
        uint64 publishedAt;
        uint64 report;
    }

    /// The model's integers are whole features times 2^SCALE.
    uint256 private constant SCALE = uint256(ModelValues.INPUT_FEATURES_SCALE);

    /// @notice Checks the proofs; its key is the registered model.
    IPlonnxVerifier public immutable verifier;
    /// @notice Who says what is known of borrowers.
    address public immutable attester;

    /// @notice How many reports there are; they are numbered from 1.
    uint64 public count;
    mapping(uint256 number => Report) public reports;

    mapping(address borrower => Score) private scores;

    event Attested(uint256 indexed report, address indexed borrower, int256[] features);
    /// @notice A score with the hash of its proof; the proof itself is in the transaction.
    event Published(uint256 indexed report, address indexed borrower, int256 score, bytes32 proof);

    /// @notice The verifier's key is not that of the model which this contract was compiled for.
    error WrongModel();
    error NotTheAttester();
    error NoSuchReport(uint256 report);
    error AlreadyPublished(uint256 report);
    /// @notice The statement is about other features than the report's.
    error NotTheReportsFeatures(uint256 report);
    /// @notice The proof does not prove the statement, or was made for another publisher or report.
    error ProofRefused();
    error NoScore(address borrower);
    error WrongLengths();

    constructor(IPlonnxVerifier verifier_, address attester_) {
        if (verifier_.VK_DIGEST() != ModelValues.VK_DIGEST) revert WrongModel();
        if (attester_ == address(0)) revert NotTheAttester();
        verifier = verifier_;
        attester = attester_;
    }

    /// @notice What is known of a borrower: the model's inputs, in its order.
    function attest(address borrower, int256[] calldata features) external returns (uint256 report) {
        if (msg.sender != attester) revert NotTheAttester();
        report = ++count;
        reports[report] = Report(borrower, false, features);
        emit Attested(report, borrower, features);
    }

    /// @notice Publishes the score that follows from a report.
    /// @param proof Made for the context PlonnxContext.once(msg.sender, report).
    /// @param publicValues The report's features, and the score.
    function publish(uint256 report, bytes calldata proof, bytes calldata publicValues) external {
        record(report, proof, publicValues);
        if (!verifier.verify(proof, publicValues, PlonnxContext.once(msg.sender, report))) revert ProofRefused();
    }

    /// @notice Publishes several scores with one pairing; one bad proof refuses them all.
    function publishMany(uint256[] calldata numbers, bytes[] calldata proofs, bytes[] calldata publicValues) external {
        if (proofs.length != numbers.length || publicValues.length != numbers.length) revert WrongLengths();
        bytes32[] memory contexts = new bytes32[](numbers.length);
        for (uint256 i = 0; i < numbers.length; ++i) {
            record(numbers[i], proofs[i], publicValues[i]);
            contexts[i] = PlonnxContext.once(msg.sender, numbers[i]);
        }
        if (!verifier.verifyBatch(proofs, publicValues, contexts)) revert ProofRefused();
    }

    /// @inheritdoc IScores
    function scoreOf(address borrower) external view returns (int256 score, uint256 publishedAt) {
        Score storage held = scores[borrower];
        if (held.publishedAt == 0) revert NoScore(borrower);
        return (held.value, held.publishedAt);
    }

    /// Checks the statement and writes down what it says. The proof is checked by the caller, in the same transaction.
    function record(uint256 number, bytes calldata proof, bytes calldata publicValues) private {
        Report storage report = reports[number];
        if (number == 0 || number > count) revert NoSuchReport(number);
        if (report.published) revert AlreadyPublished(number);
        int256[] memory given = ModelValues.inputFeatures(publicValues);
        if (given.length != report.features.length) revert NotTheReportsFeatures(number);
        for (uint256 i = 0; i < given.length; ++i) {
            if (given[i] != report.features[i] << SCALE) revert NotTheReportsFeatures(number);
        }

        report.published = true;
        int256 score = PlonnxValues.toWad(ModelValues.outputScore(publicValues)[0], ModelValues.OUTPUT_SCORE_SCALE);
        // An older report may be published late; it does not replace what a newer one said.
        if (number > scores[report.borrower].report) {
            scores[report.borrower] = Score(score, uint64(block.timestamp), uint64(number));
        }
        emit Published(number, report.borrower, score, keccak256(proof));
    }
}

/// @title A user of the scores: how much a borrower may owe.
contract Lender {
    IScores public immutable scores;
    /// @notice What a score of 1 allows.
    uint256 public immutable most;
    uint256 public constant OLDEST = 7 days;

    error ScoreTooOld();

    constructor(IScores scores_, uint256 most_) {
        scores = scores_;
        most = most_;
    }

    function limitOf(address borrower) external view returns (uint256) {
        (int256 score, uint256 publishedAt) = scores.scoreOf(borrower);
        if (block.timestamp - publishedAt > OLDEST) revert ScoreTooOld();
        return score <= 0 ? 0 : most * uint256(score) / 1e18;
    }
}
