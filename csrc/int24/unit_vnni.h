// AVX512_VNNI adds four products of bytes to 32 bits (VPDPBUSD), unsigned by signed: the right digits get 128 added,
// and 128 times the sum of the left digits is taken off.
#pragma once

#include <immintrin.h>

#include "int24/layout.h"

namespace repsim {
namespace REPSIM_ISA {

struct Unit {
    void multiply(const Strip& left, const Strip& right, int n_steps, DigitSums& sums) {
        sums = {};
        for (int a = 0; a < kDigits; ++a)
            for (int b = 0; b < kDigits; ++b) {
                __m512i products[kSide];
#pragma GCC unroll 16
                for (int i = 0; i < kSide; ++i)
                    products[i] = _mm512_sub_epi32(_mm512_load_si512(sums.of[a + b][i]),
                                                   _mm512_set1_epi32(128 * left.totals[a][i]));
                for (int step = 0; step < n_steps; ++step)
#pragma GCC unroll 1
                    for (int quad = 0; quad < kSide; ++quad) {
                        const __m512i digits =
                            _mm512_xor_si512(_mm512_load_si512(right.right[step][b][quad]), _mm512_set1_epi8(-128));
#pragma GCC unroll 16
                        for (int i = 0; i < kSide; ++i) {
                            std::int32_t word;
                            std::memcpy(&word, &left.left[step][a][i][4 * quad], sizeof word);
                            products[i] = _mm512_dpbusd_epi32(products[i], digits, _mm512_set1_epi32(word));
                        }
                    }
#pragma GCC unroll 16
                for (int i = 0; i < kSide; ++i) _mm512_store_si512(sums.of[a + b][i], products[i]);
            }
    }
};

}  // namespace REPSIM_ISA
}  // namespace repsim
