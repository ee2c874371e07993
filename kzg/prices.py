"""What the EVM charges, the precompiles of EIP-2537 and memory, how long it lets code be; the most that we pay."""

from __future__ import annotations

# EIP-2537: thousandths of 12000 gas a point for k = 1, 2, .. points; 519 beyond.
G1_DISCOUNT = (
    *(1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669, 665, 661, 658, 654),
    *(651, 648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604),
    *(603, 601, 599, 598, 596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576, 575, 574),
    *(573, 572, 570, 569, 568, 567, 566, 565, 564, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551),
    *(550, 549, 548, 547, 547, 546, 545, 544, 543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532),
    *(532, 531, 530, 529, 528, 528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519),
)
PAIRING_BASE, PAIR = 37_700, 32_600
PAIRING = PAIRING_BASE + 2 * PAIR  # of two pairs
ADDITION = 375  # in G1
MULTIPLICATION = 12_000  # in G1, before the discount

CODE_LIMIT = 24_576  # bytes of a contract: EIP-170
CREATION_LIMIT = 2 * CODE_LIMIT  # EIP-3860
LONGEST_AT_ONCE = 48_900  # bytes of a key: what one transaction creates, less what makes the pieces and their list
LONGEST_KEY = 12 * (CODE_LIMIT - 1) + 1  # of as many pieces as their list may name, each created by itself
LONGEST_SPLIT_KEY = 40_000  # created beside the code that reads it (9 KB), in a verifier of its own

INTRINSIC = 21_000  # of a transaction
CALLDATA, CALLDATA_FLOOR = 4, 10  # a token: a zero byte is one, another byte four (EIP-7623)
LATER_CALLDATA_FLOOR = 64  # a byte, whatever it is: EIP-7976, in last call until November 2026
# What EIP-7904 would have added as drafted in January 2026. Since June 2026 it is informational and changes nothing.
LATER_MULMOD, LATER_MOD, LATER_KECCAK256, LATER_ADDITION = 3, 7, 15, 268
MAX_FEE = 200.0  # gwei: the most that a unit of gas may cost where plonnx signs, unless the caller says otherwise


def g1_msm(points: int) -> int:
    """The price of G1MSM."""
    return points * MULTIPLICATION * G1_DISCOUNT[min(points, len(G1_DISCOUNT)) - 1] // 1000


def memory(size: int) -> int:
    """The price of `size` bytes of memory."""
    words = -(-size // 32)
    return 3 * words + words**2 // 512
