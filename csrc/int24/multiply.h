// Products of strips on any unit that multiplies digits exactly.
#pragma once

#include "int24/pack.h"

namespace repsim {
namespace REPSIM_ISA {

// Adds the integers that the sums of digits stand for. Only the last addition of `value` is rounded, and only if the
// integer has more than 53 bits; products with units, which are powers of two, are exact.
inline void add_integers(const DigitSums& sums, const double* left_unit, const double* right_unit, double* out,
                         std::int64_t out_stride) {
    for (int i = 0; i < kSide; ++i, out += out_stride)
        for (int j = 0; j < kSide; ++j) {
            double value = (sums.of[0][i][j] << 8) + sums.of[1][i][j];
            for (int c = 2; c < kClasses; ++c) value = value * 256 + sums.of[c][i][j];
            out[j] += value * left_unit[i] * right_unit[j];
        }
}

template <class Unit>
void multiply_integers(const MultiplyArgs& args) {
    const Strip *left = static_cast<const Strip*>(args.left), *right = static_cast<const Strip*>(args.right);
    const int n_steps = steps_of(args.n_rows);
    Unit unit;
    DigitSums sums;
    for (std::int64_t j = 0; j * kSide < args.right_width; ++j) {
        const std::int64_t last = args.upper ? j + 1 : args.left_width / kSide;
        for (std::int64_t i = 0; i < last && i * kSide < args.left_width; ++i) {
            unit.multiply(left[i], right[j], n_steps, sums);
            add_integers(sums, left[i].unit, right[j].unit, args.out + i * kSide * args.out_stride + j * kSide,
                         args.out_stride);
        }
    }
}

// The diagonal of the product of a strip with itself, to the bit: its integers are exact in int64, too.
inline void squares_of_integers(const void* panel, std::int64_t n_rows, double* out) {
    const Strip* strips = static_cast<const Strip*>(panel);
    const int n_steps = steps_of(n_rows);
    for (int s = 0; s < kStripsOfPanel; ++s)
        for (int j = 0; j < kSide; ++j) {
            std::int64_t total = 0;
            for (int step = 0; step < n_steps; ++step) {
                const auto& digits = strips[s].left[step];
                for (int k = 0; k < kDepth; ++k) {
                    const std::int64_t v = (digits[0][j][k] * 256 + digits[1][j][k]) * 256 + digits[2][j][k];
                    total += v * v;
                }
            }
            const double unit = strips[s].unit[j];
            out[s * kSide + j] += static_cast<double>(total) * unit * unit;
        }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
