// Rows to strips: convert, transform, shift, round to integers, cut into digits.
//
// All arithmetic is exact, or rounded once by IEEE rules in a fixed order, and compiled without fused multiply-adds.
#pragma once

#include <cstring>

#include "gemm/pack.h"
#include "int24/layout.h"

namespace repsim {
namespace REPSIM_ISA {

typedef std::uint32_t Words __attribute__((vector_size(64), aligned(64)));

// x + kMagic has x rounded to the nearest integer, ties to even, in its low bits, for |x| < 2^31.
constexpr double kMagic = 0x1.8p52;
// A unit is at least 2^-500, so that its square is not 0. Sums of squares of smaller features are refused (centred.py).
constexpr int kLargestExponent = 500;

inline std::int32_t rounded(double x) {
    const double shifted = x + kMagic;
    std::int64_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    return static_cast<std::int32_t>(bits);
}

// The exponent e with kLargest / 2 < largest 2^e <= kLargest.
inline int exponent_for(double largest) {
    constexpr int kBits = 22;  // 2^22 < kLargest < 2^23
    int e = kBits - __builtin_ilogb(largest);
    if (e > kLargestExponent) return kLargestExponent;
    if (__builtin_ldexp(largest, e) > kLargest) --e;
    return e;
}

class Rows {  // of a block, as doubles before the shift
  public:
    Rows(const PackArgs& args, double* line)
        : args_(args),
          line_(line),
          as_stored_(args.transform == RowTransform::raw && holds_doubles(args.rows, args.row_stride, args.dtype)) {}
    const double* read(std::int64_t r) const {
        const char* row = args_.rows + r * args_.row_stride;
        if (as_stored_) return reinterpret_cast<const double*>(row);
        read_row(row, args_.dtype, args_.width, args_.transform, line_);
        return line_;
    }

  private:
    const PackArgs& args_;
    double* line_;
    bool as_stored_;
};

inline void find_units(const PackArgs& args, const Rows& rows, double* scale, double* unit, std::int64_t padded) {
    double* const largest = unit;
    for (std::int64_t j = 0; j < padded; ++j) largest[j] = 0;
    for (std::int64_t r = 0; r < args.n_rows; ++r) {
        const double* row = rows.read(r);
        for (std::int64_t j = 0; j < args.width; ++j) {
            const double u = __builtin_fabs(row[j] - args.shift[j]);
            largest[j] = u > largest[j] ? u : largest[j];
        }
    }
    for (std::int64_t j = 0; j < padded; ++j) {
        const int e = largest[j] > 0 ? exponent_for(largest[j]) : 0;
        scale[j] = largest[j] > 0 ? __builtin_ldexp(1.0, e) : 0.0;
        unit[j] = largest[j] > 0 ? __builtin_ldexp(1.0, -e) : 0.0;
    }
}

// |u|^2 of a row as it was rounded. Squares of integers of 24 bits are exact in float64.
inline double squared_norm(const std::int32_t* v, const double* unit, std::int64_t padded) {
    double lane[kLanes] = {};
    for (std::int64_t j = 0; j < padded; j += kLanes)
        for (int l = 0; l < kLanes; ++l) {
            const double u = v[j + l] * unit[j + l];
            lane[l] += u * u;
        }
    return fold(lane);
}

// The digits of four rows of a strip. v + bias has the digits as bytes; those below the highest have 128 added.
inline void cut(const std::int32_t* v, std::int64_t stride, std::int8_t (&to)[kDigits][kSide][kDepth], int quad) {
    constexpr std::uint32_t kBias = 0x8080u, kFlip = 0x80808080u, kEven = 0x00ff00ffu;
    Words w[4];
    for (int i = 0; i < 4; ++i) {
        std::memcpy(&w[i], v + i * stride, sizeof w[i]);
        w[i] += kBias;
    }
    const Words low_a = (w[0] & 0xffffu) | (w[1] << 16), low_b = (w[2] & 0xffffu) | (w[3] << 16);
    const Words high_a = (w[0] >> 16) | (w[1] & 0xffff0000u), high_b = (w[2] >> 16) | (w[3] & 0xffff0000u);
    // bytes: rows 0, 2, 1, 3 of a feature; any order will do if both operands have it
    const Words digits[kDigits] = {(high_a & kEven) | ((high_b << 8) & ~kEven),
                                   (((low_a >> 8) & kEven) | (low_b & ~kEven)) ^ kFlip,
                                   ((low_a & kEven) | ((low_b << 8) & ~kEven)) ^ kFlip};
    for (int d = 0; d < kDigits; ++d) std::memcpy(to[d][quad], &digits[d], kDepth);
}

// Words of four rows: [four rows][feature] to [feature][four rows].
inline void transpose(const std::int8_t (&in)[kSide][kDepth], std::int8_t (&out)[kSide][kDepth]) {
    for (int i = 0; i < kSide; ++i)
        for (int j = 0; j < kSide; ++j) std::memcpy(&out[j][4 * i], &in[i][4 * j], 4);
}

inline void find_totals(Strip& strip, int n_steps) {
    for (int d = 0; d < kDigits; ++d)
        for (int j = 0; j < kSide; ++j) {
            std::int32_t total = 0;
            for (int step = 0; step < n_steps; ++step)
                for (int k = 0; k < kDepth; ++k) total += strip.left[step][d][j][k];
            strip.totals[d][j] = total;
        }
}

inline int steps_of(std::int64_t n_rows) { return static_cast<int>((n_rows + kDepth - 1) / kDepth); }

// A whole block: its largest elements decide the units.
inline void pack_integers(const PackArgs& args) {
    const std::int64_t n_strips = (args.width + kSide - 1) / kSide, padded = n_strips * kSide;
    double* const scale = static_cast<double*>(args.workspace);
    double* const unit = scale + padded;
    std::int32_t* const v = reinterpret_cast<std::int32_t*>(unit + padded);  // four rows
    const Rows rows(args, reinterpret_cast<double*>(v + 4 * padded));
    Strip* const strips = static_cast<Strip*>(args.panels);
    find_units(args, rows, scale, unit, padded);
    for (int i = 0; i < 4; ++i)
        for (std::int64_t j = args.width; j < padded; ++j) v[i * padded + j] = 0;
    const int n_steps = steps_of(args.n_rows);
    for (int step = 0; step < n_steps; ++step) {
        for (int quad = 0; quad < kSide; ++quad) {
            for (int i = 0; i < 4; ++i) {
                const std::int64_t r = step * kDepth + 4 * quad + i;
                std::int32_t* const of_row = v + i * padded;
                if (r < args.n_rows) {
                    const double* row = rows.read(r);
                    for (std::int64_t j = 0; j < args.width; ++j)
                        of_row[j] = rounded((row[j] - args.shift[j]) * scale[j]);
                    args.squared_norms[r] = squared_norm(of_row, unit, padded);
                } else {
                    for (std::int64_t j = 0; j < args.width; ++j) of_row[j] = 0;
                }
            }
            for (std::int64_t s = 0; s < n_strips; ++s) cut(v + s * kSide, padded, strips[s].right[step], quad);
        }
        for (std::int64_t s = 0; s < n_strips; ++s)
            for (int d = 0; d < kDigits; ++d) transpose(strips[s].right[step][d], strips[s].left[step][d]);
    }
    for (std::int64_t s = 0; s < n_strips; ++s) {
        std::memcpy(strips[s].unit, unit + s * kSide, sizeof strips[s].unit);
        find_totals(strips[s], n_steps);
    }
}

inline void pack_integer_weights(const double* squared_norms, std::int64_t stride, int n_sides, std::int64_t n_rows,
                                 std::int64_t n_weights, void* out) {
    // 16 weights at a time, as rows in memory
    for (std::int64_t first = 0; first < n_weights; first += kSide) {
        double rows[kBlockRows][kSide];
        for (std::int64_t r = 0; r < n_rows; ++r)
            for (int l = 0; l < kSide; ++l) {
                const std::int64_t side = first + l - 1;
                rows[r][l] = side < 0 ? 1.0 : side < n_sides ? squared_norms[side * stride + r] : 0.0;
            }
        const double no_shift[kSide] = {};
        double unused[kBlockRows];
        alignas(64) char workspace[kSide * 48];
        PackArgs args{};
        args.rows = reinterpret_cast<const char*>(rows);
        args.row_stride = sizeof rows[0];
        args.dtype = DType::f64;
        args.n_rows = n_rows;
        args.width = kSide;
        args.transform = RowTransform::raw;
        args.shift = no_shift;
        args.workspace = workspace;
        args.panels = static_cast<Strip*>(out) + first / kSide;
        args.squared_norms = unused;
        pack_integers(args);
    }
}

// Half a unit.
inline void rounding_of(const void* panels, std::int64_t width, double* out) {
    const Strip* strips = static_cast<const Strip*>(panels);
    for (std::int64_t j = 0; j < width; ++j) out[j] = 0.5 * strips[j / kSide].unit[j % kSide];
}

}  // namespace REPSIM_ISA
}  // namespace repsim
