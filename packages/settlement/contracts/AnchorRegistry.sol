// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Heads of transparency logs on a chain: an owner for each origin, sizes that only grow, and not by more than a bound.
///
/// Without an owner a stranger anchors the size 2^64-1 and blocks the log for ever (spec/log.md).
contract AnchorRegistry {
    /// A log head: tree size and RFC 6962 root, with the chain's time at which it was anchored.
    struct Head {
        uint64 size;
        uint64 time;
        bytes32 root;
    }

    /// How many entries a head may add at most. Larger gaps are anchored in steps.
    uint64 public constant MAX_GROWTH = 1 << 24;

    mapping(bytes32 origin => address) public ownerOf;
    mapping(bytes32 origin => address) public pendingOwnerOf;
    mapping(bytes32 origin => Head) public latest;
    /// The root anchored for a size, so that an older head can still be shown.
    mapping(bytes32 origin => mapping(uint64 size => bytes32)) public rootAt;

    event Claimed(bytes32 indexed origin, address indexed owner);
    event OwnershipOffered(bytes32 indexed origin, address indexed to);
    event Anchored(bytes32 indexed origin, uint64 indexed size, bytes32 root);

    error OriginTaken(bytes32 origin, address owner);
    error NotOwner(bytes32 origin, address caller);
    error NotLarger(uint64 have, uint64 got);
    error GrowthTooLarge(uint64 have, uint64 got);
    error RootMissing();

    modifier onlyOwner(bytes32 origin) {
        if (msg.sender != ownerOf[origin]) revert NotOwner(origin, msg.sender);
        _;
    }

    /// The origin's id, bound to who claims it: nobody can claim another's log by being first.
    function originOf(address claimant, string calldata name) public pure returns (bytes32) {
        return keccak256(abi.encode("countersign/anchor-origin/v1", claimant, name));
    }

    function claim(string calldata name) external returns (bytes32 origin) {
        origin = originOf(msg.sender, name);
        if (ownerOf[origin] != address(0)) revert OriginTaken(origin, ownerOf[origin]);
        ownerOf[origin] = msg.sender;
        emit Claimed(origin, msg.sender);
    }

    function offerOwnership(bytes32 origin, address to) external onlyOwner(origin) {
        pendingOwnerOf[origin] = to;
        emit OwnershipOffered(origin, to);
    }

    function acceptOwnership(bytes32 origin) external {
        if (msg.sender != pendingOwnerOf[origin]) revert NotOwner(origin, msg.sender);
        ownerOf[origin] = msg.sender;
        delete pendingOwnerOf[origin];
        emit Claimed(origin, msg.sender);
    }

    function anchor(bytes32 origin, uint64 size, bytes32 root) external onlyOwner(origin) {
        uint64 have = latest[origin].size;
        if (size <= have) revert NotLarger(have, size);
        if (size - have > MAX_GROWTH) revert GrowthTooLarge(have, size);
        if (root == bytes32(0)) revert RootMissing();
        latest[origin] = Head(size, uint64(block.timestamp), root);
        rootAt[origin][size] = root;
        emit Anchored(origin, size, root);
    }
}
