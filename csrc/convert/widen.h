// Rows of a shard as numbers: float16, bfloat16, float32 or float64 to what the caller computes in. All exact, except
// float64 rows read as float32, which no caller uses.
#pragma once

#include <cstdint>
#include <cstring>

#if REPSIM_VECTOR_BYTES >= 32
#include <immintrin.h>
#endif

#include "core/dtype.h"

namespace repsim {
namespace REPSIM_ISA {

inline float float_from_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// IEEE binary16: move exponent and fraction into place, then let one multiplication by 2^112 fix the bias, which
// handles subnormals too (finite values only: others were refused before).
inline float half_to_float(std::uint16_t half) {
    const float magnitude = float_from_bits((half & 0x7fffu) << 13) * float_from_bits(0x77800000u);
    return (half & 0x8000u) ? -magnitude : magnitude;
}

template <class T>
void convert_f16(const char* row, std::int64_t width, T* out) {
    std::int64_t j = 0;
#if REPSIM_VECTOR_BYTES >= 32
    typedef T Eight __attribute__((vector_size(8 * sizeof(T)), aligned(8)));
    for (; j + 8 <= width; j += 8) {
        const __m256 single = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 2 * j)));
        *reinterpret_cast<Eight*>(out + j) = __builtin_convertvector(single, Eight);
    }
#endif
    for (; j < width; ++j) {
        std::uint16_t half;
        std::memcpy(&half, row + 2 * j, sizeof half);
        out[j] = half_to_float(half);
    }
}

template <class T>
void convert_row(const char* row, DType dtype, std::int64_t width, T* out) {
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
        case DType::f64:
            for (std::int64_t j = 0; j < width; ++j) {
                double value;
                std::memcpy(&value, row + 8 * j, sizeof value);
                out[j] = static_cast<T>(value);
            }
            break;
    }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
