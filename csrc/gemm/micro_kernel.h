// The register-blocked product, written once in GCC vector extensions.
//
// A micro-tile holds mr x nr sums in registers while it walks down the rows of a packed block: per row it loads
// nr / lanes vectors of the right panel, broadcasts mr elements of the left one, and does mr * nr / lanes
// fused multiply-adds. The registers hold sums and operands: 24 + 3 + 1 of 32 registers under AVX-512,
// 12 + 3 + 1 of 16 under AVX2 and SSE2. Sums are flushed to float64 once per block. One prefetch a row brings the
// panel that comes next from the last-level cache, whose delay would otherwise be paid at every change of panel.
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

// The vectors of columns of a micro-tile from `First` on and before `Last`; the others do not change.
template <class T, int First, int Last>
inline __attribute__((always_inline)) void micro_tile(const T* left, std::int64_t left_stride, const T* right,
                                                      std::int64_t n_rows, const char* ahead, double* out,
                                                      std::int64_t out_stride) {
    using Shape = Tile<T>;
    using Vector = typename Shape::vector;
    constexpr int kVectors = Last - First;
    Vector sums[Shape::mr][kVectors] = {};
    right += First * Shape::lanes;
    out += First * Shape::lanes;
    for (int i = 0; i < Shape::mr; ++i)
        for (int j = 0; j < kVectors * Shape::lanes; j += 8) __builtin_prefetch(out + i * out_stride + j, 1);
    for (std::int64_t k = 0; k < n_rows; ++k) {
        Vector b[kVectors];
        __builtin_prefetch(ahead + 64 * k, 0, 2);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) b[v] = *reinterpret_cast<const Vector*>(right + v * Shape::lanes);
#pragma GCC unroll 8
        for (int i = 0; i < Shape::mr; ++i) {
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) sums[i][v] += left[i] * b[v];
        }
        left += left_stride;
        right += Shape::nr;
    }
#pragma GCC unroll 8
    for (int i = 0; i < Shape::mr; ++i) {
        alignas(64) T line[kVectors * Shape::lanes];  // compilers widen it in registers
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) *reinterpret_cast<Vector*>(line + v * Shape::lanes) = sums[i][v];
        double* row = out + i * out_stride;
        for (int j = 0; j < kVectors * Shape::lanes; ++j) row[j] += static_cast<double>(line[j]);
    }
}

template <class T, int First = 0, int Last = Tile<T>::vectors>
inline void micro_tile_between(std::int64_t first, std::int64_t last, const T* left, const MultiplyArgs& args,
                               const char* ahead, double* out) {
    if constexpr (First + 1 < Last) {
        if (first > First) return micro_tile_between<T, First + 1, Last>(first, last, left, args, ahead, out);
        if (last < Last) return micro_tile_between<T, First, Last - 1>(first, last, left, args, ahead, out);
    }
    micro_tile<T, First, Last>(left, args.left_stride, static_cast<const T*>(args.right), args.n_rows, ahead, out,
                               args.out_stride);
}

template <class T>
void multiply(const MultiplyArgs& args) {
    const T* left = static_cast<const T*>(args.left);
    const char* here = static_cast<const char*>(args.right);  // in cache already: prefetching it does nothing
    const std::int64_t panel_bytes = args.n_rows * Tile<T>::nr * static_cast<std::int64_t>(sizeof(T));
    const std::int64_t last = (args.right_width + Tile<T>::lanes - 1) / Tile<T>::lanes;
    std::int64_t fetched = args.ahead ? 0 : panel_bytes;
    for (std::int64_t i = 0; i < args.left_width; i += Tile<T>::mr, fetched += 64 * args.n_rows) {
        const char* ahead = fetched < panel_bytes ? static_cast<const char*>(args.ahead) + fetched : here;
        micro_tile_between<T>(args.upper ? i / Tile<T>::lanes : 0, last, left + i, args, ahead,
                              args.out + i * args.out_stride);
    }
}

// out[j] += the sum of the squares of column j of a panel: the diagonal of its product with itself, to the bit.
template <class T>
void squares(const void* panel, std::int64_t n_rows, double* out) {
    using Shape = Tile<T>;
    using Vector = typename Shape::vector;
    Vector sums[Shape::vectors] = {};
    const T* row = static_cast<const T*>(panel);
    for (std::int64_t k = 0; k < n_rows; ++k, row += Shape::nr)
#pragma GCC unroll 4
        for (int v = 0; v < Shape::vectors; ++v) {
            const Vector b = *reinterpret_cast<const Vector*>(row + v * Shape::lanes);
            sums[v] += b * b;
        }
    alignas(64) T line[Shape::nr];
    for (int v = 0; v < Shape::vectors; ++v) *reinterpret_cast<Vector*>(line + v * Shape::lanes) = sums[v];
    for (int j = 0; j < Shape::nr; ++j) out[j] += static_cast<double>(line[j]);
}

}  // namespace REPSIM_ISA
}  // namespace repsim
