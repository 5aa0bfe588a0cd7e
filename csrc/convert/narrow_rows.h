// Included by the isa_*.cpp files, never elsewhere (see gemm/isa_kernels.h for why nothing of std appears here).
//
// Rounding is to nearest, ties to even, once. A block of values stays in L1 between the three things done to it:
// its largest magnitude, its conversion, its column sums.
#include "convert/narrow.h"
#include "convert/widen.h"

namespace repsim {
namespace REPSIM_ISA {

constexpr std::int64_t kBlock = 1024;

inline std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline std::uint16_t to_bfloat16(float value) {
    const std::uint32_t bits = bits_of(value);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline std::uint16_t to_half(float value) {
    const std::uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffffu;
    std::uint32_t half;
    if (magnitude >= 0x47800000u) {
        half = 0x7c00u;  // 2^16 and beyond
    } else if (magnitude < 0x38800000u) {
        // below 2^-14: the unit in the last place of 0.5 is 2^-24, so the sum rounds to a multiple of it
        half = bits_of(float_from_bits(magnitude) + 0.5f) - bits_of(0.5f);
    } else {
        half = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
    }
    return static_cast<std::uint16_t>(half | (bits >> 16 & 0x8000u));
}

// float64 to float32, inexact results rounded to odd, so that a second rounding gives what a single one would have
// given.
inline float to_odd(double value) {
    const float single = static_cast<float>(value);
    const double back = single;
    std::uint32_t bits = bits_of(single);
    if (back == value || (bits & 1u) != 0 || value != value) return single;
    bits += __builtin_fabs(back) < __builtin_fabs(value) ? 1u : ~0u;
    return float_from_bits(bits);
}

inline void narrow_block(const float* __restrict values, std::int64_t n, DType to, char* __restrict out) {
    if (to == DType::f32) {
        std::memcpy(out, values, static_cast<std::size_t>(n) * sizeof(float));
        return;
    }
    std::int64_t j = 0;
#if REPSIM_VECTOR_BYTES >= 32
    if (to == DType::f16)
        for (; j + 8 <= n; j += 8)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * j), _mm256_cvtps_ph(_mm256_loadu_ps(values + j), 0));
#endif
    if (to == DType::f16)
        for (; j < n; ++j) {
            const std::uint16_t half = to_half(values[j]);
            std::memcpy(out + 2 * j, &half, sizeof half);
        }
    else
        for (; j < n; ++j) {
            const std::uint16_t half = to_bfloat16(values[j]);
            std::memcpy(out + 2 * j, &half, sizeof half);
        }
}

// Magnitudes are ordered like the integers with the same bits.
template <class Bits>
Bits largest_bits(const char* row, std::int64_t n, Bits largest) {
    constexpr Bits magnitude = static_cast<Bits>(~Bits(0)) >> 1;
    for (std::int64_t j = 0; j < n; ++j) {
        Bits bits;
        std::memcpy(&bits, row + j * static_cast<std::int64_t>(sizeof bits), sizeof bits);
        bits &= magnitude;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

inline std::uint64_t largest_bits(const char* row, DType dtype, std::int64_t n, std::uint64_t largest) {
    switch (size_of(dtype)) {
        case 2: return largest_bits<std::uint16_t>(row, n, static_cast<std::uint16_t>(largest));
        case 4: return largest_bits<std::uint32_t>(row, n, static_cast<std::uint32_t>(largest));
        default: return largest_bits<std::uint64_t>(row, n, largest);
    }
}

inline double value_of(std::uint64_t bits, DType dtype) {
    if (dtype == DType::f16 && bits >= 0x7c00u) return bits == 0x7c00u ? __builtin_inf() : __builtin_nan("");
    double value = 0;
    convert_row(reinterpret_cast<const char*>(&bits), dtype, 1, &value);  // little-endian: the low bytes come first
    return value;
}

inline void widen_block(const char* row, DType dtype, std::int64_t n, DType to, float* values) {
    if (dtype != DType::f64 || to == DType::f32) return convert_row(row, dtype, n, values);
    double value;
    for (std::int64_t j = 0; j < n; ++j) {
        std::memcpy(&value, row + 8 * j, sizeof value);
        values[j] = to_odd(value);
    }
}

inline Largest narrow_rows(const NarrowArgs& args) {
    const MatrixView& view = args.rows;
    const auto given = static_cast<std::int64_t>(size_of(view.dtype)),
               stored = static_cast<std::int64_t>(size_of(args.to));
    std::uint64_t largest = 0;
    float values[kBlock];
    double summands[kBlock];
    char* out = args.out;
    for (std::int64_t r = 0; r < view.rows; ++r)
        for (std::int64_t begin = 0; begin < view.cols; begin += kBlock) {
            const char* source = view.row(r) + begin * given;
            const std::int64_t n = view.cols - begin < kBlock ? view.cols - begin : kBlock;
            largest = largest_bits(source, view.dtype, n, largest);
            const char* result = source;
            if (args.out) {
                widen_block(source, view.dtype, n, args.to, values);
                narrow_block(values, n, args.to, out);
                result = out;
                out += n * stored;
            }
            if (r < args.n_summed) {
                convert_row(result, args.to, n, summands);
                for (std::int64_t j = 0; j < n; ++j) args.sums[begin + j] += summands[j];
            }
        }
    const double top = value_of(largest, view.dtype);
    if (!args.out || !(top <= 1.7976931348623157e308)) return {top, top};
    float widened = 0;
    char narrowed[8] = {};
    widen_block(reinterpret_cast<const char*>(&largest), view.dtype, 1, args.to, &widened);
    narrow_block(&widened, 1, args.to, narrowed);
    return {top, value_of(largest_bits(narrowed, args.to, 1, 0), args.to)};
}

extern const Narrow narrow;
constinit const Narrow narrow = &narrow_rows;

}  // namespace REPSIM_ISA
}  // namespace repsim
