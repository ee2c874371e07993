// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

import {IPlonnxVerifier} from "./IPlonnxVerifier.sol";
import {ModelValues} from "./ModelValues.sol";
import {PlonnxContext} from "./PlonnxContext.sol";
import {PlonnxValues} from "./PlonnxValues.sol";

/// @title What the agent needs of an oracle.
interface IPriceFeed {
    /// @notice The last prices, the oldest first, and the number of the latest.
    function latest() external view returns (uint256[] memory prices, uint256 round);
}

/// @title What the agent needs of a market.
interface IExchange {
    /// @notice Buys `amount` for the caller, or sells where it is negative.
    function trade(int256 amount) external;
}

/// @title An agent that trades as its model says, and not otherwise.
/// @notice Anyone may run it: whoever proves what the model decides on the oracle's latest prices makes it trade, once
/// for each price. The proof decides, not the caller.
contract Agent {
    enum Decision {
        Sell,
        Hold,
        Buy
    }

    /// @notice A return beyond this many basis points counts as this many: what the model was calibrated for.
    int256 public constant MOST = 500;

    /// The model's integers are whole basis points times 2^SCALE.
    uint256 private constant SCALE = uint256(ModelValues.INPUT_RETURNS_SCALE);

    /// @notice Checks the proofs; its key is the registered model.
    IPlonnxVerifier public immutable verifier;
    IPriceFeed public immutable feed;
    IExchange public immutable exchange;
    /// @notice What is bought or sold at a time.
    int256 public immutable lot;

    /// @notice The number of the price that was last traded on.
    uint256 public tradedRound;

    /// @notice The model decided on the prices up to `round`, proved by `sender`.
    event Traded(uint256 indexed round, address indexed sender, Decision decision);

    /// @notice The verifier's key is not that of the model which this contract was compiled for.
    error WrongModel();
    /// @notice There is no price newer than the one last traded on.
    error AlreadyTraded(uint256 round);
    /// @notice The statement is about other returns than those of the feed.
    error NotTheFeedsReturns(uint256 place);
    /// @notice The proof does not prove the statement, or was made for another sender or another price.
    error ProofRefused();

    constructor(IPlonnxVerifier verifier_, IPriceFeed feed_, IExchange exchange_, int256 lot_) {
        if (verifier_.VK_DIGEST() != ModelValues.VK_DIGEST) revert WrongModel();
        verifier = verifier_;
        feed = feed_;
        exchange = exchange_;
        lot = lot_;
    }

    /// @notice Trades as the model decides on the feed's latest prices.
    /// @param proof Made for the context PlonnxContext.once(msg.sender, the number of the latest price).
    /// @param publicValues The returns that the model saw, and the logits of its decision.
    function trade(bytes calldata proof, bytes calldata publicValues) external returns (Decision decision) {
        (int256[] memory expected, uint256 round) = observed();
        if (round == tradedRound) revert AlreadyTraded(round);
        int256[] memory given = ModelValues.inputReturns(publicValues);
        for (uint256 i = 0; i < given.length; ++i) {
            if (given[i] != expected[i] << SCALE) revert NotTheFeedsReturns(i);
        }
        if (!verifier.verify(proof, publicValues, PlonnxContext.once(msg.sender, round))) revert ProofRefused();

        tradedRound = round;
        decision = Decision(PlonnxValues.argMax(ModelValues.outputLogits(publicValues)));
        emit Traded(round, msg.sender, decision);

        if (decision == Decision.Buy) exchange.trade(lot);
        if (decision == Decision.Sell) exchange.trade(-lot);
    }

    /// @notice The model's inputs: from price to price the change in basis points, and the number of the latest price.
    function observed() public view returns (int256[] memory returns_, uint256 round) {
        uint256[] memory prices;
        (prices, round) = feed.latest();
        returns_ = new int256[](prices.length - 1);
        for (uint256 i = 0; i < returns_.length; ++i) {
            int256 before = int256(prices[i]);
            int256 change = (int256(prices[i + 1]) - before) * 10_000 / before;
            returns_[i] = change > MOST ? MOST : change < -MOST ? -MOST : change;
        }
    }
}

/// @title A feed of nine prices that its owner pushes. Stands for the oracle that a deployment would ask.
contract PriceFeed is IPriceFeed {
    uint256 public constant PRICES = 9;
    address public immutable owner;

    uint256 private round;
    uint256[PRICES] private ring;

    event Pushed(uint256 indexed round, uint256 price);

    error NotTheOwner();
    error NotEnoughPrices();
    error PriceOutOfRange();

    constructor() {
        owner = msg.sender;
    }

    /// @notice Adds prices, the oldest first.
    function push(uint256[] calldata prices) external {
        if (msg.sender != owner) revert NotTheOwner();
        uint256 number = round;
        for (uint256 i = 0; i < prices.length; ++i) {
            if (prices[i] == 0 || prices[i] > type(uint128).max) revert PriceOutOfRange();
            ring[++number % PRICES] = prices[i];
            emit Pushed(number, prices[i]);
        }
        round = number;
    }

    /// @inheritdoc IPriceFeed
    function latest() external view returns (uint256[] memory prices, uint256 number) {
        number = round;
        if (number < PRICES) revert NotEnoughPrices();
        prices = new uint256[](PRICES);
        for (uint256 i = 0; i < PRICES; ++i) {
            prices[i] = ring[(number + 1 + i) % PRICES];
        }
    }
}

/// @title A market on paper: it writes down what everyone holds. Stands for the exchange that a deployment would use.
contract PaperExchange is IExchange {
    mapping(address => int256) public positions;

    event Bought(address indexed trader, int256 amount);

    /// @inheritdoc IExchange
    function trade(int256 amount) external {
        positions[msg.sender] += amount;
        emit Bought(msg.sender, amount);
    }
}
