// A block of rows as integers of 24 bits, cut into three digits.
//
// Feature j of a block has a power of two, unit_j. Its elements are rounded to v unit_j with whole numbers v, whose largest
// magnitude is between half of kLargest and kLargest. v = 65536 d_0 + 256 d_1 + d_2 with digits from -128 to 127.
// A sum over rows of v_i v_j is 9 sums of products of digits, which are exact in int32. They make one float64 number,
// which is rounded once, and which is added to the sums of the stream. So every processor gets the same bits.
//
// Digits are balanced: products of digits from 0 to 255 would have a mean, and sums of it would not fit.
#pragma once

#include <cstdint>

#include "gemm/kernels.h"

namespace repsim {

constexpr int kSide = 16;   // features of a strip, as many as a matrix unit has rows and columns
constexpr int kDepth = 64;  // rows that a matrix unit adds up in one instruction
constexpr int kDigits = 3;
constexpr int kClasses = 5;  // products of digits a and b are worth 256^(4 - a - b)
constexpr int kSteps = static_cast<int>(kBlockRows / kDepth);
constexpr double kLargest = 127.0 * (1 + 256 + 65536);  // so that d_0 is never -128: sums of two classes fit in int32

// 16 features of a block. Both operands of a product are kept, because units read them in different orders.
struct alignas(64) Strip {
    std::int8_t right[kSteps][kDigits][kSide][kDepth];  // [][d][four rows][feature, row]
    std::int8_t left[kSteps][kDigits][kSide][kDepth];   // [][d][feature][row]
    double unit[kSide];                                 // 0 for a feature that is 0 in all rows
    std::int32_t totals[kDigits][kSide];                // the sums of the digits over the rows
};
constexpr int kStripsOfPanel = 3;
static_assert(sizeof(Strip) % kSide == 0);

// Sums over rows of products of digits: [class][left feature][right feature].
struct alignas(64) DigitSums {
    std::int32_t of[kClasses][kSide][kSide];
};

}  // namespace repsim
