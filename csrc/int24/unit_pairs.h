// The unit of every processor: products of 16-bit integers, of which x86 adds up pairs (PMADDWD).
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "int24/layout.h"

namespace repsim {
namespace REPSIM_ISA {

#if defined(__x86_64__)

constexpr int kVectorInts = REPSIM_VECTOR_BYTES / 4;
typedef std::int32_t Pairs __attribute__((vector_size(REPSIM_VECTOR_BYTES)));

inline Pairs madd(Pairs a, Pairs b) {
#if REPSIM_VECTOR_BYTES == 64
    return Pairs(_mm512_madd_epi16(__m512i(a), __m512i(b)));
#elif REPSIM_VECTOR_BYTES == 32
    return Pairs(_mm256_madd_epi16(__m256i(a), __m256i(b)));
#else
    return Pairs(_mm_madd_epi16(__m128i(a), __m128i(b)));
#endif
}

// Of four bytes in each 32 bits, the signed even ones as two 16-bit integers, and the odd ones.
inline Pairs odd_bytes(Pairs bytes) {
    typedef std::int16_t Halves __attribute__((vector_size(REPSIM_VECTOR_BYTES)));
    return Pairs(Halves(bytes) >> 8);
}
inline Pairs even_bytes(Pairs bytes) {
    typedef std::int16_t Halves __attribute__((vector_size(REPSIM_VECTOR_BYTES)));
    return Pairs((Halves(bytes) << 8) >> 8);
}

// out[i][j] += sums over rows of left[.][i] right[.][j], eight left features at a time.
inline void add_products(const std::int8_t (&left)[kSide][kDepth], const std::int8_t (&right)[kSide][kDepth],
                         std::int32_t (&out)[kSide][kSide]) {
    constexpr int kTogether = 8;
    for (int i0 = 0; i0 < kSide; i0 += kTogether)
        for (int j0 = 0; j0 < kSide; j0 += kVectorInts) {
            Pairs sums[kTogether];
            for (int i = 0; i < kTogether; ++i) std::memcpy(&sums[i], &out[i0 + i][j0], sizeof sums[i]);
            for (int quad = 0; quad < kSide; ++quad) {
                Pairs bytes;
                std::memcpy(&bytes, &right[quad][4 * j0], sizeof bytes);
                const Pairs even = even_bytes(bytes), odd = odd_bytes(bytes);
                for (int i = 0; i < kTogether; ++i) {
                    std::int32_t word;
                    std::memcpy(&word, &left[i0 + i][4 * quad], sizeof word);
                    const Pairs all = Pairs{} + word;
                    sums[i] += madd(even_bytes(all), even) + madd(odd_bytes(all), odd);
                }
            }
            for (int i = 0; i < kTogether; ++i) std::memcpy(&out[i0 + i][j0], &sums[i], sizeof sums[i]);
        }
}

#else

inline void add_products(const std::int8_t (&left)[kSide][kDepth], const std::int8_t (&right)[kSide][kDepth],
                         std::int32_t (&out)[kSide][kSide]) {
    for (int i = 0; i < kSide; ++i)
        for (int k = 0; k < kDepth; ++k)
            for (int j = 0; j < kSide; ++j) out[i][j] += left[i][k] * right[k / 4][4 * j + k % 4];
}

#endif

struct Unit {
    void multiply(const Strip& left, const Strip& right, int n_steps, DigitSums& sums) {
        sums = {};
        for (int step = 0; step < n_steps; ++step)
            for (int a = 0; a < kDigits; ++a)
                for (int b = 0; b < kDigits; ++b)
                    add_products(left.left[step][a], right.right[step][b], sums.of[a + b]);
    }
};

}  // namespace REPSIM_ISA
}  // namespace repsim
