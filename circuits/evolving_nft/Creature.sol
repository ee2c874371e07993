// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

import {IPlonnxVerifier} from "./IPlonnxVerifier.sol";
import {ModelValues} from "./ModelValues.sol";
import {PlonnxContext} from "./PlonnxContext.sol";

interface IERC721Receiver {
    function onERC721Received(address operator, address from, uint256 id, bytes calldata data)
        external returns (bytes4);
}

/// @title Creatures whose traits change as the registered model says, and not otherwise.
/// @notice An ERC-721 token. Its owner chooses how to raise a creature; what that makes of its traits is the model's answer,
/// proved. There is no other way to a trait, neither for the owner nor for whoever deployed this.
contract Creature {
    uint256 public constant TRAITS = 4; // strength, wit, charm, luck
    int256 public constant MOST = 100; // of a trait
    int256 public constant HOURS = 12; // of exercise, study and play together, for one generation

    /// The model's integers are whole traits and hours times powers of two.
    uint256 private constant TRAITS_SCALE = uint256(ModelValues.INPUT_TRAITS_SCALE);
    uint256 private constant HOURS_SCALE = uint256(ModelValues.INPUT_HOURS_SCALE);
    uint256 private constant GROWN_SCALE = uint256(ModelValues.OUTPUT_GROWN_SCALE);

    string public constant name = "Creature";
    string public constant symbol = "CREA";

    /// @notice Checks the proofs; its key is the registered model.
    IPlonnxVerifier public immutable verifier;

    /// @notice How many creatures there are; they are numbered from 1.
    uint256 public supply;
    /// @notice How often a creature has evolved.
    mapping(uint256 id => uint256) public generation;
    mapping(address owner => uint256) public balanceOf;
    mapping(uint256 id => address) public getApproved;
    mapping(address owner => mapping(address operator => bool)) public isApprovedForAll;

    mapping(uint256 id => address) private owners;
    mapping(uint256 id => int256[TRAITS]) private traits;

    event Transfer(address indexed from, address indexed to, uint256 indexed id);
    event Approval(address indexed owner, address indexed approved, uint256 indexed id);
    event ApprovalForAll(address indexed owner, address indexed operator, bool approved);
    /// @notice A creature has become what the model says.
    event Evolved(uint256 indexed id, uint256 indexed generation, int256[TRAITS] traits);

    /// @notice The verifier's key is not that of the model which this contract was compiled for.
    error WrongModel();
    error NoSuchCreature();
    error NotAllowed();
    error NoReceiver();
    /// @notice The statement starts from other traits than the creature has.
    error NotItsTraits(uint256 place);
    /// @notice Less than no hour, or more than HOURS together.
    error NotItsHours();
    /// @notice The proof does not prove the statement, or was made for another owner, creature or generation.
    error ProofRefused();

    constructor(IPlonnxVerifier verifier_) {
        if (verifier_.VK_DIGEST() != ModelValues.VK_DIGEST) revert WrongModel();
        verifier = verifier_;
    }

    /// @notice A new creature for the caller, with traits that follow from its number.
    function mint() external returns (uint256 id) {
        id = ++supply;
        bytes32 seed = keccak256(abi.encode(address(this), id));
        for (uint256 i = 0; i < TRAITS; ++i) {
            traits[id][i] = int256(20 + uint256(uint8(seed[i])) % 41);
        }
        owners[id] = msg.sender;
        ++balanceOf[msg.sender];
        emit Transfer(address(0), msg.sender, id);
    }

    /// @notice Makes of a creature what the model makes of its traits and of the hours that its owner gives it.
    /// @param proof Made for the context PlonnxContext.once(msg.sender, useOf(id)).
    /// @param publicValues The creature's traits, the hours of exercise, study and play, and the traits that they make.
    function evolve(uint256 id, bytes calldata proof, bytes calldata publicValues) external {
        if (ownerOf(id) != msg.sender) revert NotAllowed();
        int256[] memory given = ModelValues.inputTraits(publicValues);
        for (uint256 i = 0; i < TRAITS; ++i) {
            if (given[i] != traits[id][i] << TRAITS_SCALE) revert NotItsTraits(i);
        }
        int256[] memory spent = ModelValues.inputHours(publicValues);
        int256 sum = 0;
        for (uint256 i = 0; i < spent.length; ++i) {
            if (spent[i] < 0) revert NotItsHours();
            sum += spent[i];
        }
        if (sum > HOURS << HOURS_SCALE) revert NotItsHours();
        bytes32 context = PlonnxContext.once(msg.sender, useOf(id));
        if (!verifier.verify(proof, publicValues, context)) revert ProofRefused();

        int256[] memory made = ModelValues.outputGrown(publicValues);
        for (uint256 i = 0; i < TRAITS; ++i) {
            traits[id][i] = whole(made[i]);
        }
        emit Evolved(id, ++generation[id], traits[id]);
    }

    /// @notice The nonce of a creature's next proof: its number and its generation.
    function useOf(uint256 id) public view returns (uint256) {
        return id << 128 | generation[id];
    }

    function traitsOf(uint256 id) external view returns (int256[] memory values) {
        ownerOf(id);
        values = new int256[](TRAITS);
        for (uint256 i = 0; i < TRAITS; ++i) {
            values[i] = traits[id][i];
        }
    }

    /// @notice JSON with the traits, in the address itself.
    function tokenURI(uint256 id) external view returns (string memory) {
        ownerOf(id);
        string[TRAITS] memory names = ["strength", "wit", "charm", "luck"];
        bytes memory list = "";
        for (uint256 i = 0; i < TRAITS; ++i) {
            string memory value = decimal(uint256(traits[id][i]));
            list = abi.encodePacked(list, i == 0 ? "" : ",", '{"trait_type":"', names[i], '","value":', value, "}");
        }
        return string.concat(
            'data:application/json;utf8,{"name":"Creature ', decimal(id), '","attributes":[', string(list), "]}"
        );
    }

    function ownerOf(uint256 id) public view returns (address owner) {
        owner = owners[id];
        if (owner == address(0)) revert NoSuchCreature();
    }

    function approve(address approved, uint256 id) external {
        address owner = ownerOf(id);
        if (msg.sender != owner && !isApprovedForAll[owner][msg.sender]) revert NotAllowed();
        getApproved[id] = approved;
        emit Approval(owner, approved, id);
    }

    function setApprovalForAll(address operator, bool approved) external {
        isApprovedForAll[msg.sender][operator] = approved;
        emit ApprovalForAll(msg.sender, operator, approved);
    }

    function transferFrom(address from, address to, uint256 id) public {
        address owner = ownerOf(id);
        bool allowed = msg.sender == owner || isApprovedForAll[owner][msg.sender] || msg.sender == getApproved[id];
        if (!allowed || owner != from || to == address(0)) revert NotAllowed();
        delete getApproved[id];
        --balanceOf[from];
        ++balanceOf[to];
        owners[id] = to;
        emit Transfer(from, to, id);
    }

    function safeTransferFrom(address from, address to, uint256 id) external {
        safeTransferFrom(from, to, id, "");
    }

    function safeTransferFrom(address from, address to, uint256 id, bytes memory data) public {
        transferFrom(from, to, id);
        if (to.code.length == 0) return;
        bytes4 answer = IERC721Receiver(to).onERC721Received(msg.sender, from, id, data);
        if (answer != IERC721Receiver.onERC721Received.selector) revert NoReceiver();
    }

    /// @notice ERC-165, ERC-721 and its metadata.
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x80ac58cd || id == 0x5b5e139f;
    }

    /// A trait of the model's scale, rounded to a whole number from 0 to MOST.
    function whole(int256 value) private pure returns (int256 rounded) {
        rounded = (value + int256(1 << GROWN_SCALE >> 1)) >> GROWN_SCALE;
        if (rounded < 0) return 0;
        if (rounded > MOST) return MOST;
    }

    function decimal(uint256 value) private pure returns (string memory) {
        if (value < 10) return string(abi.encodePacked(bytes1(uint8(48 + value))));
        return string.concat(decimal(value / 10), decimal(value % 10));
    }
}
