// The register-blocked product, written once in GCC vector extensions.
//
// A micro-tile holds mr x nr sums in registers while it walks down the rows of a packed block: per row it loads
// nr / lanes vectors of the right panel, broadcasts mr elements of the left one, and does mr * nr / lanes
// fused multiply-adds. Shapes leave room for the operands: 24 + 3 + 1 of 32 registers under AVX-512,
// 12 + 3 + 1 of 16 under AVX2 and SSE2. Sums are flushed to float64 once per block.
#pragma once

#include <cstdint>

#include "gemm/kernels.h"

namespace repsim {
namespace REPSIM_ISA {

template <class T>
struct Tile {
    static constexpr int lanes = REPSIM_VECTOR_BYTES / static_cast<int>(sizeof(T));
    // two lanes (base, float64): three vectors would make nr = 6, which mr = 4 does not divide
    static constexpr int vectors = lanes == 2 ? 2 : 3;
    static constexpr int nr = lanes * vectors;
    static constexpr int mr = REPSIM_VECTOR_BYTES == 64 ? 8 : 4;
    static_assert(nr % mr == 0);
    typedef T vector __attribute__((vector_size(REPSIM_VECTOR_BYTES)));
};

template <class T>
inline __attribute__((always_inline)) void micro_tile(const T* left, std::int64_t left_stride, const T* right,
                                                      std::int64_t n_rows, double* out, std::int64_t out_stride) {
    using Shape = Tile<T>;
    using Vector = typename Shape::vector;
    Vector sums[Shape::mr][Shape::vectors] = {};
    for (int i = 0; i < Shape::mr; ++i)
        for (int j = 0; j < Shape::nr; j += 8) __builtin_prefetch(out + i * out_stride + j, 1);
    for (std::int64_t k = 0; k < n_rows; ++k) {
        Vector b[Shape::vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Shape::vectors; ++v) b[v] = *reinterpret_cast<const Vector*>(right + v * Shape::lanes);
#pragma GCC unroll 8
        for (int i = 0; i < Shape::mr; ++i) {
#pragma GCC unroll 4
            for (int v = 0; v < Shape::vectors; ++v) sums[i][v] += left[i] * b[v];
        }
        left += left_stride;
        right += Shape::nr;
    }
#pragma GCC unroll 8
    for (int i = 0; i < Shape::mr; ++i) {
        alignas(64) T line[Shape::nr];  // through the cache: a vector of floats has no one-step widening here
#pragma GCC unroll 4
        for (int v = 0; v < Shape::vectors; ++v) *reinterpret_cast<Vector*>(line + v * Shape::lanes) = sums[i][v];
        double* row = out + i * out_stride;
        for (int j = 0; j < Shape::nr; ++j) row[j] += static_cast<double>(line[j]);
    }
}

template <class T>
void multiply(const MultiplyArgs& args) {
    const T* left = static_cast<const T*>(args.left);
    const T* right = static_cast<const T*>(args.right);
    for (std::int64_t i = 0; i < args.left_width; i += Tile<T>::mr)
        micro_tile<T>(left + i, args.left_stride, right, args.n_rows, args.out + i * args.out_stride, args.out_stride);
}

}  // namespace REPSIM_ISA
}  // namespace repsim
