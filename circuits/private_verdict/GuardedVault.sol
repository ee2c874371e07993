// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

import {IPlonnxVerifier} from "./IPlonnxVerifier.sol";
import {ModelValues} from "./ModelValues.sol";
import {PlonnxContext} from "./PlonnxContext.sol";

/// @title A vault that a private model guards against theft.
/// @notice A withdrawal is paid when the model calls it honest. Its weights are secret, so that nobody can shape a theft to
/// pass; but they are the same for everybody, fixed by the verifier's key, and each verdict comes with its proof. Where no
/// verdict comes, the withdrawal is paid after a week: the model's owner can refuse a payment, not hold it for ever.
contract GuardedVault {
    enum State {
        None,
        Pending,
        Paid,
        Refused
    }

    struct Withdrawal {
        address owner;
        uint64 requestedAt;
        State state;
        address to;
        uint256 amount;
    }

    uint256 public constant FEATURES = 5;
    /// @notice Features are whole numbers from 0 to this: what the model was calibrated for.
    int256 public constant MOST = 1000;
    uint256 public constant WEEK = 7 days;
    /// The model's integers are features times 2^SCALE.
    uint256 private constant SCALE = uint256(ModelValues.INPUT_FEATURES_SCALE);

    /// @notice Checks the proofs; its key commits to the registered model.
    IPlonnxVerifier public immutable verifier;
    /// @notice keccak256 of the files `model.architecture` and `model.registration`. Check them before you deposit:
    /// `plonnx verify-registration model.vk model.registration --architecture model.architecture`.
    bytes32 public immutable architecture;
    bytes32 public immutable registration;

    /// @notice How many withdrawals there are; they are numbered from 1.
    uint256 public count;
    mapping(uint256 number => Withdrawal) public withdrawals;
    mapping(address owner => uint256) public balanceOf;
    mapping(address owner => uint256) public depositedAt;
    mapping(address owner => uint256) public paidCount;
    mapping(address owner => mapping(address to => bool)) public paidBefore;

    mapping(uint256 number => int256[FEATURES]) private features;

    event Deposited(address indexed owner, uint256 amount);
    event Requested(uint256 indexed number, address indexed owner, address indexed to, uint256 amount);
    event Paid(uint256 indexed number, address indexed to, uint256 amount);
    event Refused(uint256 indexed number);

    /// @notice The verifier's key is not that of the model which this contract was compiled for.
    error WrongModel();
    error BalanceTooLow();
    error NotPending();
    error NotTheOwner();
    /// @notice The statement is about other features than the withdrawal's.
    error NotItsFeatures(uint256 place);
    /// @notice The proof does not prove the statement, or was made for another sender or withdrawal.
    error ProofRefused();
    error TooEarly();
    error PaymentFailed();

    constructor(IPlonnxVerifier verifier_, bytes32 architecture_, bytes32 registration_) {
        if (verifier_.VK_DIGEST() != ModelValues.VK_DIGEST) revert WrongModel();
        verifier = verifier_;
        architecture = architecture_;
        registration = registration_;
    }

    function deposit() external payable {
        balanceOf[msg.sender] += msg.value;
        depositedAt[msg.sender] = block.timestamp;
        emit Deposited(msg.sender, msg.value);
    }

    /// @notice Asks for a payment. What the model will see of it is fixed here.
    function request(address to, uint256 amount) external returns (uint256 number) {
        uint256 balance = balanceOf[msg.sender];
        if (amount == 0 || amount > balance) revert BalanceTooLow();
        number = ++count;
        features[number] = [
            capped(amount * 1000 / 4 ether), // thousandths of four ether
            capped(amount * 1000 / balance), // thousandths of the balance
            capped((block.timestamp - depositedAt[msg.sender]) / 1 hours),
            paidBefore[msg.sender][to] ? MOST : int256(0),
            capped(20 * paidCount[msg.sender])
        ];
        balanceOf[msg.sender] = balance - amount;
        withdrawals[number] = Withdrawal(msg.sender, uint64(block.timestamp), State.Pending, to, amount);
        emit Requested(number, msg.sender, to, amount);
    }

    /// @notice Pays a withdrawal, or puts it back, as the model says.
    /// @param proof Made for the context PlonnxContext.once(msg.sender, number).
    /// @param publicValues The withdrawal's features, and how suspicious it is: above zero it is refused.
    function decide(uint256 number, bytes calldata proof, bytes calldata publicValues) external {
        if (withdrawals[number].state != State.Pending) revert NotPending();
        int256[] memory given = ModelValues.inputFeatures(publicValues);
        for (uint256 i = 0; i < FEATURES; ++i) {
            if (given[i] != features[number][i] << SCALE) revert NotItsFeatures(i);
        }
        if (!verifier.verify(proof, publicValues, PlonnxContext.once(msg.sender, number))) revert ProofRefused();

        if (ModelValues.outputSuspicion(publicValues)[0] > 0) {
            refuse(number);
        } else {
            pay(number);
        }
    }

    /// @notice Takes one's own request back.
    function cancel(uint256 number) external {
        if (withdrawals[number].owner != msg.sender) revert NotTheOwner();
        if (withdrawals[number].state != State.Pending) revert NotPending();
        refuse(number);
    }

    /// @notice Pays a withdrawal that had no verdict for a week.
    function payUnjudged(uint256 number) external {
        if (withdrawals[number].state != State.Pending) revert NotPending();
        if (block.timestamp < withdrawals[number].requestedAt + WEEK) revert TooEarly();
        pay(number);
    }

    /// @notice What the model sees of a withdrawal.
    function featuresOf(uint256 number) external view returns (int256[] memory values) {
        values = new int256[](FEATURES);
        for (uint256 i = 0; i < FEATURES; ++i) {
            values[i] = features[number][i];
        }
    }

    function refuse(uint256 number) private {
        Withdrawal storage withdrawal = withdrawals[number];
        withdrawal.state = State.Refused;
        balanceOf[withdrawal.owner] += withdrawal.amount;
        emit Refused(number);
    }

    /// The state is written before the payment: who is paid cannot come back for more.
    function pay(uint256 number) private {
        Withdrawal storage withdrawal = withdrawals[number];
        (address owner, address to, uint256 amount) = (withdrawal.owner, withdrawal.to, withdrawal.amount);
        withdrawal.state = State.Paid;
        paidBefore[owner][to] = true;
        ++paidCount[owner];
        emit Paid(number, to, amount);

        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert PaymentFailed();
    }

    function capped(uint256 value) private pure returns (int256) {
        return value < uint256(MOST) ? int256(value) : MOST;
    }
}
