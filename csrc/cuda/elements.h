// Element types of rows in device memory, and their conversion to float and double.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/dtype.h"
#include "cuda/launch.h"

namespace repsim::cuda {

struct f16 {
    std::uint16_t bits;
};
struct bf16 {
    std::uint16_t bits;
};

// `f` is called with a value of the element type, e.g. visit(dtype, [&](auto zero) { run<decltype(zero)>(); }).
template <class F>
void visit(DType dtype, F&& f) {
    switch (dtype) {
        case DType::f16: f(f16{}); break;
        case DType::bf16: f(bf16{}); break;
        case DType::f32: f(float{}); break;
        case DType::f64: f(double{}); break;
    }
}

#ifndef REPSIM_CUDA_EMULATED
__device__ __forceinline__ float widen(f16 x) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x.bits));
    return value;
}
#else
// Exponent and fraction moved into place, the bias corrected by a product that handles subnormals too. Finite values
// only.
inline float widen(f16 x) {
    const float magnitude = __uint_as_float((x.bits & 0x7fffu) << 13) * __uint_as_float(0x77800000u);
    return (x.bits & 0x8000u) ? -magnitude : magnitude;
}
#endif
__device__ __forceinline__ float widen(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }

// The bits of an element, where its exponent lies, and its sign.
template <class T>
struct Bits;
template <>
struct Bits<f16> {
    using type = std::uint16_t;
    static constexpr type exponent = 0x7c00u, sign = 0x8000u;
};
template <>
struct Bits<bf16> {
    using type = std::uint16_t;
    static constexpr type exponent = 0x7f80u, sign = 0x8000u;
};
template <>
struct Bits<float> {
    using type = std::uint32_t;
    static constexpr type exponent = 0x7f800000u, sign = 0x80000000u;
};
template <>
struct Bits<double> {
    using type = unsigned long long;
    static constexpr type exponent = 0x7ff0000000000000ull, sign = 0x8000000000000000ull;
};

// `count` neighbours read with one load, where the address allows it.
template <class T, int count>
struct alignas(sizeof(T) * count) Vector {
    T at[count];
};

}  // namespace repsim::cuda
