// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.25;

/// Public values as numbers. The library written for a model knows where each of its tensors stands.
library PlonnxValues {
    /// @notice `count` integers of `width` bytes each (two's complement, big-endian) from byte `offset`, row-major.
    /// @dev Reverts where they do not all lie in `publicValues`.
    function read(bytes calldata publicValues, uint256 offset, uint256 count, uint256 width)
        internal pure returns (int256[] memory values)
    {
        values = new int256[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 place = offset + i * width;
            bytes calldata encoded = publicValues[place:place + width];
            uint256 shift = 256 - 8 * width;
            // bytes32 of fewer bytes has zeros behind them; the shift to the right repeats the sign.
            values[i] = int256(uint256(bytes32(encoded))) >> shift;
        }
    }

    /// @notice Values whose channels have scales of their own, brought to the finest of these: each shifted to the left.
    /// @dev shifts[c] is that of channel c; a channel has `run` values one after another.
    function aligned(int256[] memory values, bytes memory shifts, uint256 run)
        internal pure returns (int256[] memory)
    {
        for (uint256 i = 0; i < values.length; ++i) {
            values[i] <<= uint8(shifts[i / run % shifts.length]);
        }
        return values;
    }

    /// @notice Integers that a circuit holds in two: 2^bits high + low.
    function joined(int256[] memory high, int256[] memory low, uint256 bits) internal pure returns (int256[] memory) {
        for (uint256 i = 0; i < high.length; ++i) {
            high[i] = (high[i] << bits) + low[i];
        }
        return high;
    }

    /// @notice The place of the largest value, the first of equals, as ONNX's ArgMax; reverts for none.
    function argMax(int256[] memory values) internal pure returns (uint256 place) {
        require(values.length > 0, "no values");
        for (uint256 i = 1; i < values.length; ++i) {
            if (values[i] > values[place]) place = i;
        }
    }

    /// @notice value / 2^scale in units of 10^-18, rounded towards zero. Reverts for what does not fit.
    function toWad(int256 value, int256 scale) internal pure returns (int256) {
        require(scale > -255 && scale < 255, "scale"); // 2^255 is no int256
        if (scale < 0) return value * int256(1 << uint256(-scale)) * 1e18;
        return value * 1e18 / int256(1 << uint256(scale));
    }
}
