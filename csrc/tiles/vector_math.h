// Elementary functions written so that loops over them vectorise, and two operations that vectors lack.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gemm/micro_kernel.h"

namespace repsim {
namespace REPSIM_ISA {

template <class V>
struct Scalar {
    using type = __typeof__(V{}[0] + V{}[0]);
};

template <class T>
struct Bits;
template <>
struct Bits<float> {
    using type = std::int32_t;
    static constexpr type magnitude = 0x7fffffff;
};
template <>
struct Bits<double> {
    using type = std::int64_t;
    static constexpr type magnitude = 0x7fffffffffffffff;
};

// |x| of every lane
template <class T, class V>
inline V absolute(V x) {
    typedef typename Bits<T>::type Integers __attribute__((vector_size(sizeof(V))));
    return (V)((Integers)x & Bits<T>::magnitude);
}

// whether any lane of a comparison holds
template <class Mask>
inline bool any_lane(const Mask& mask) {
    std::uint64_t words[sizeof(Mask) / 8], any = 0;
    __builtin_memcpy(words, &mask, sizeof mask);
    for (std::uint64_t word : words) any |= word;
    return any != 0;
}

// 0, 1, 2, ... in the lanes of a vector of integers
template <class Integers>
inline Integers lane_numbers() {
    Integers numbers;
    for (std::size_t l = 0; l < sizeof numbers / sizeof numbers[0]; ++l) numbers[l] = l;
    return numbers;
}

// sum + x and x - u, as sum + x * one and x * one - u where that is one instruction
template <class V, class T>
inline V add_by_product(const V& sum, const V& x, T one) {
#if REPSIM_VECTOR_BYTES >= 32
    return sum + x * one;
#else
    (void)one;
    return sum + x;
#endif
}
template <class V, class T>
inline V subtract_from_product(const V& x, T u, T one) {
#if REPSIM_VECTOR_BYTES >= 32
    return x * one - u;
#else
    (void)one;
    return x - u;
#endif
}

// larger(v, u): max(v, u), u in memory. larger_magnitude(largest, x): max(largest, |x|), largest >= 0.
// Under AVX-512 the broadcast of u is part of the instruction (as one of its own, which compilers make of it, it takes
// a slot of the units that sums need: 1.3 times slower), and the magnitude is part of the maximum.
#if REPSIM_VECTOR_BYTES == 64
template <class V>
inline V larger(const V& v, const float& u) {
    V result;
    asm("vmaxps %2%{1to16%}, %1, %0" : "=v"(result) : "v"(v), "m"(u));
    return result;
}
template <class V>
inline V larger(const V& v, const double& u) {
    V result;
    asm("vmaxpd %2%{1to8%}, %1, %0" : "=v"(result) : "v"(v), "m"(u));
    return result;
}
template <class V>
inline V larger_magnitude(V largest, const V& x, float) {
    asm("vrangeps $11, %1, %0, %0" : "+v"(largest) : "v"(x));
    return largest;
}
template <class V>
inline V larger_magnitude(V largest, const V& x, double) {
    asm("vrangepd $11, %1, %0, %0" : "+v"(largest) : "v"(x));
    return largest;
}
#else
template <class V, class T>
inline V larger(const V& v, const T& u) {
    const V other = u - V{};
    return v > other ? v : other;
}
template <class V, class T>
inline V larger_magnitude(const V& largest, const V& x, T) {
    const V magnitude = absolute<T>(x);
    return largest > magnitude ? largest : magnitude;
}
#endif

inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }

// arcsin(x) for x in [0, 1]: x Q(x^2) up to 1/2, and pi/2 - 2 arcsin(sqrt((1 - x) / 2)) above. Q is the minimax
// polynomial of arcsin(sqrt z) / sqrt z on [0, 1/4], relative error 2e-17.
template <class T>
inline T arcsine(T x) {
    const bool low = x <= T(0.5);
    const T upper = (1 - x) / 2;
    const T z = low ? x * x : upper;
    const T y = low ? x : square_root(upper);
    T q = T(0.031879621400812839426);
    q = q * z + T(-0.016187392271599133212);
    q = q * z + T(0.019513468251252168004);
    q = q * z + T(0.0065293020047365692817);
    q = q * z + T(0.01217013859239172629);
    q = q * z + T(0.013884842826402080755);
    q = q * z + T(0.017359779641349980067);
    q = q * z + T(0.022371749733164054133);
    q = q * z + T(0.030381959697685138233);
    q = q * z + T(0.044642856805998938418);
    q = q * z + T(0.075000000003852016734);
    q = q * z + T(0.1666666666666494118);
    q = q * z + T(1);
    return low ? y * q : T(1.57079632679489661923) - 2 * y * q;
}

template <class T>
struct Exponential;
template <>
struct Exponential<float> {
    static constexpr float rounder = 0x1.8p23f, largest = 87.0f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr int bias = 127, fraction_bits = 23;
};
template <>
struct Exponential<double> {
    static constexpr double rounder = 0x1.8p52, largest = 708.0;
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr int bias = 1023, fraction_bits = 52;
};

// 2^n and exp(r) - 1 with exp(-x) = 2^n exp(r), |r| <= ln 2 / 2, for x >= 0: by a minimax polynomial whose error is
// 3e-18 of exp(r). Beyond `largest`, exp(-x) is no normal number.
template <class T>
struct ReducedExponential {
    T scale, less_one;
};
template <class T>
inline ReducedExponential<T> reduced_exp_minus(T x) {
    using E = Exponential<T>;
    using Integer = typename Bits<T>::type;
    const T y = x < E::largest ? -x : -E::largest;
    const T shifted = y * T(1.44269504088896340736) + E::rounder;
    const T n = shifted - E::rounder;
    const T r = (y - n * E::ln2_high) - n * E::ln2_low;
    T p = T(2.5110037605963777712e-8);
    p = p * r + T(2.7632639639041029749e-7);
    p = p * r + T(2.7557240918578969823e-6);
    p = p * r + T(0.000024801485482328492419);
    p = p * r + T(0.00019841269890047113707);
    p = p * r + T(0.0013888888952314774652);
    p = p * r + T(0.0083333333333196006109);
    p = p * r + T(0.041666666666488095495);
    p = p * r + T(0.16666666666666680806);
    p = p * r + T(0.50000000000000183855);
    p = p * r + T(1);
    const Integer exponent = (__builtin_bit_cast(Integer, shifted) - __builtin_bit_cast(Integer, E::rounder) + E::bias);
    const T scale = __builtin_bit_cast(T, static_cast<Integer>(exponent << E::fraction_bits));
    return {scale, p * r};
}

// exp(-x) for x >= 0, and 0 where that is no normal number
template <class T>
inline T exp_minus(T x) {
    const ReducedExponential<T> e = reduced_exp_minus(x);
    return x < Exponential<T>::largest ? e.scale * (e.less_one + 1) : 0;
}

// exp(-x) - 1 for x >= 0, to the last bits of it for small x too
template <class T>
inline T expm1_minus(T x) {
    const ReducedExponential<T> e = reduced_exp_minus(x);
    return e.scale * e.less_one + (e.scale - 1);
}

}  // namespace REPSIM_ISA
}  // namespace repsim
