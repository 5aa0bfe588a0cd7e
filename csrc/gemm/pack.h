// Convert, transform, shift, pack: what turns a row of a shard into panels, in cache, in one pass.
//
// All arithmetic on a row is float64, rounded once to the precision of the products: the shift is subtracted before
// anything is lost, and the result does not depend on whether a row came from a float16 shard or from staging.
#pragma once

#include <cstdint>
#include <cstring>

#if REPSIM_VECTOR_BYTES >= 32
#include <immintrin.h>
#endif

#include "gemm/micro_kernel.h"

namespace repsim {
namespace REPSIM_ISA {

inline float float_from_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// IEEE binary16: move exponent and fraction into place, then let one multiplication by 2^112 fix the bias, which
// handles subnormals too (finite values only: the gate has refused the rest).
inline float half_to_float(std::uint16_t half) {
    const float magnitude = float_from_bits((half & 0x7fffu) << 13) * float_from_bits(0x77800000u);
    return (half & 0x8000u) ? -magnitude : magnitude;
}

inline void convert_f16(const char* row, std::int64_t width, double* out) {
    std::int64_t j = 0;
#if REPSIM_VECTOR_BYTES >= 32
    typedef double Doubles __attribute__((vector_size(64), aligned(8)));
    for (; j + 8 <= width; j += 8) {
        const __m256 single = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 2 * j)));
        *reinterpret_cast<Doubles*>(out + j) = __builtin_convertvector(single, Doubles);
    }
#endif
    for (; j < width; ++j) {
        std::uint16_t half;
        std::memcpy(&half, row + 2 * j, sizeof half);
        out[j] = half_to_float(half);
    }
}

inline void convert_row(const char* row, DType dtype, std::int64_t width, double* out) {
    switch (dtype) {
        case DType::f16: convert_f16(row, width, out); break;
        case DType::bf16:
            for (std::int64_t j = 0; j < width; ++j) {
                std::uint16_t half;
                std::memcpy(&half, row + 2 * j, sizeof half);
                out[j] = float_from_bits(static_cast<std::uint32_t>(half) << 16);
            }
            break;
        case DType::f32:
            for (std::int64_t j = 0; j < width; ++j) {
                float value;
                std::memcpy(&value, row + 4 * j, sizeof value);
                out[j] = value;
            }
            break;
        case DType::f64: std::memcpy(out, row, static_cast<std::size_t>(width) * sizeof(double)); break;
    }
}

// Sums over a row run in 16 fixed lanes, so that the compiler may vectorise them without re-ordering.
constexpr int kLanes = 16;

inline double fold(const double (&lane)[kLanes]) {
    double total = 0;
    for (int l = 0; l < kLanes; ++l) total += lane[l];
    return total;
}

inline double sum(const double* row, std::int64_t width) {
    double lane[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += row[j + l];
    for (int l = 0; j < width; ++j, ++l) lane[l] += row[j];
    return fold(lane);
}

inline double sum_of_squares(const double* row, std::int64_t width) {
    double lane[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += row[j + l] * row[j + l];
    for (int l = 0; j < width; ++j, ++l) lane[l] += row[j] * row[j];
    return fold(lane);
}

inline void read_row(const char* row, DType dtype, std::int64_t width, Rows transform, double* out) {
    convert_row(row, dtype, width, out);
    if (transform == Rows::raw) return;
    const double centre = transform == Rows::unit_centred ? sum(out, width) / static_cast<double>(width) : 0.0;
    for (std::int64_t j = 0; j < width; ++j) out[j] -= centre;
    double norm_sq = sum_of_squares(out, width);
    if (!(norm_sq > 1e-280 && norm_sq < 1e280)) {  // squares that leave the range: bring the row near 1 first
        double largest = 0;
        for (std::int64_t j = 0; j < width; ++j) largest = __builtin_fmax(largest, __builtin_fabs(out[j]));
        const double near_one = __builtin_ldexp(1.0, -__builtin_ilogb(largest));
        for (std::int64_t j = 0; j < width; ++j) out[j] *= near_one;
        norm_sq = sum_of_squares(out, width);
    }
    const double scale = 1.0 / __builtin_sqrt(norm_sq);
    for (std::int64_t j = 0; j < width; ++j) out[j] *= scale;
}

template <class T>
void pack(const PackArgs& args) {
    constexpr int nr = Tile<T>::nr;
    T* panels = static_cast<T*>(args.panels);
    double* row = args.scratch;
    for (std::int64_t r = 0; r < args.n_rows; ++r) {
        read_row(args.rows + r * args.row_stride, args.dtype, args.width, args.transform, row);
        for (std::int64_t j = 0; j < args.width; ++j) row[j] -= args.shift[j];
        args.squared_norms[r] = sum_of_squares(row, args.width);
        T* out = panels + (args.first_row + r) * nr;
        for (std::int64_t j0 = 0; j0 < args.width; j0 += nr, out += args.panel_rows * nr) {
            const std::int64_t used = args.width - j0 < nr ? args.width - j0 : nr;
            if (used == nr) {
                for (int j = 0; j < nr; ++j) out[j] = static_cast<T>(row[j0 + j]);
            } else {
                for (int j = 0; j < nr; ++j) out[j] = j < used ? static_cast<T>(row[j0 + j]) : T(0);
            }
        }
    }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
