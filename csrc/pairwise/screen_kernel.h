// Included by isa_avx512bf16.cpp, never elsewhere: see gemm/isa_kernels.h for the rules. The loops are those of
// tile_kernel.h over pairs of features; a pair is handled as the float32 whose bits it fills.
#pragma once

#include <immintrin.h>

#include "pairwise/screen_kernels.h"

#include "pairwise/tile_kernel.h"

namespace repsim {
namespace REPSIM_ISA {

struct PairProducts {  // sum_k u_2k v_2k + u_2k+1 v_2k+1
    template <class V>
    static V step(V sum, const float& u, const V& v, float /*one*/) {
        return (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(u), (__m512bh)v);
    }
    template <class V>
    static V join(const V& x, const V& y) {
        return x + y;
    }
};

// Rounds to nearest, ties to even, and what is no normal number to zero, as the products do.
inline std::uint32_t bfloat_bits(float value) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    return (rounded & 0x7f800000u) == 0 ? 0u : rounded;
}

inline void narrow(const NarrowArgs& args) {
    constexpr int nr = Tile<float>::nr;
    const std::int64_t n = args.n_features;
    double squares[nr] = {}, narrow_squares[nr] = {}, residuals[nr] = {};
    for (std::int64_t k = 0; k < n; ++k) {
        const float* in = args.panel + k * nr;
        std::uint32_t* out = args.pairs + k / 2 * nr;
        const bool even = k % 2 == 0;
        for (int s = 0; s < nr; ++s) {
            const std::uint32_t bits = bfloat_bits(in[s]);
            out[s] = even ? bits >> 16 : out[s] | bits;
            const double u = in[s], rounded = __builtin_bit_cast(float, bits);
            squares[s] += u * u;
            narrow_squares[s] += rounded * rounded;
            residuals[s] += (u - rounded) * (u - rounded);
        }
    }
    constexpr std::int64_t kStep = 16;
    for (std::int64_t k = 0; k < n; k += kStep)
        for (int s = 0; s < nr; ++s)
            for (std::int64_t l = k; l < n && l < k + kStep; ++l) args.rows[s * n + l] = args.panel[l * nr + s];
    constexpr double kUp = 1 + 0x1p-20;  // over the roundings to float32, here and in the bound
    const ErrorShares& errors = args.errors;
    for (int s = 0; s < nr; ++s) {
        const double larger = squares[s] > narrow_squares[s] ? squares[s] : narrow_squares[s];
        const double long_side = __builtin_sqrt(larger);
        const double square = args.squares_count ? args.half_squares[s] : 0;
        args.terms[low_part][s] = static_cast<float>(square - square * errors.of_squares - errors.absolute);
        args.terms[length][s] = static_cast<float>(kUp * long_side);
        args.terms[residual][s] =
            static_cast<float>(kUp * (__builtin_sqrt(residuals[s]) + errors.of_products * long_side));
    }
}

// Lower bounds against limits, and the pairs that pass.
struct Sieve {
    using Core = PairProducts;
    const ScreenArgs& args;
    Hit** next;

    template <int kVectors>
    void micro_tile(const TileArgs& tile, const float* /*slice*/, const float* /*right*/, std::int64_t i,
                    std::int64_t first_right, float* corner) const {
        using Shape = Tile<float>;
        using Vector = Shape::vector;
        const auto term = [](const PackedRows& rows, ScreenTerm which) {
            return static_cast<const float*>(rows.terms[which]);
        };
        const auto load = [](const float* from, int v) {
            return *reinterpret_cast<const Vector*>(from + v * Shape::lanes);
        };
        const float *low_u = term(tile.left, low_part) + i, *low_v = term(tile.right, low_part) + first_right;
        const float *length_u = term(tile.left, length) + i, *length_v = term(tile.right, length) + first_right;
        const float *rest_u = term(tile.left, residual) + i, *rest_v = term(tile.right, residual) + first_right;
        const float *row_limits = args.row_limits + i, *col_limits = args.col_limits + first_right;
        for (int r = 0; r < Shape::mr && i + r < tile.n_left; ++r) {
            float* line = corner + r * tile.out_stride;
            __mmask16 passed[kVectors];
            unsigned any = 0;
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) {
                Vector* cell = reinterpret_cast<Vector*>(line + v * Shape::lanes);
                *cell = ((low_u[r] + load(low_v, v)) - *cell) -
                        (rest_u[r] * load(length_v, v) + length_u[r] * load(rest_v, v));
                const Vector row_limit = (Vector)_mm512_set1_ps(row_limits[r]), col_limit = load(col_limits, v);
                const Vector limit = row_limit > col_limit ? row_limit : col_limit;
                passed[v] = _mm512_cmp_ps_mask((__m512)*cell, (__m512)limit, _CMP_LE_OQ);
                any |= passed[v];
            }
            if (any == 0) continue;
            const std::int64_t begin = tile.diagonal ? i + r + 1 : 0;
            for (int v = 0; v < kVectors; ++v)
                for (unsigned lanes = passed[v]; lanes != 0; lanes &= lanes - 1) {
                    const int lane = v * Shape::lanes + __builtin_ctz(lanes);
                    const std::int64_t col = first_right + lane;
                    if (col < begin || col >= tile.n_right) continue;
                    *(*next)++ = {static_cast<std::int16_t>(i + r), static_cast<std::int16_t>(col), line[lane]};
                }
        }
    }
};

inline std::int64_t screen(const ScreenArgs& args) {
    Hit* next = args.hits;
    make_tile_of<float>(args.tile, Sieve{args, &next});
    return next - args.hits;
}

// The sums of tile_kernel.h, a chain of multiply-adds per run of features, for `n` pairs side by side.
template <int n>
void products(const float* row, const float* const* others, std::int64_t n_features, float* out) {
    const std::int64_t run = run_length(n_features);
    for (std::int64_t k0 = 0; k0 < n_features; k0 += run) {
        const std::int64_t end = n_features - k0 < run ? n_features : k0 + run;
        float sums[n] = {};
        for (std::int64_t k = k0; k < end; ++k)
#pragma GCC unroll 8
            for (int c = 0; c < n; ++c) sums[c] = __builtin_fmaf(row[k], others[c][k], sums[c]);
        for (int c = 0; c < n; ++c) out[c] = k0 == 0 ? sums[c] : out[c] + sums[c];
    }
}

// recompute() of tile_kernel.h for one pair.
inline float half_square_of_difference(const float* left, const float* right, std::int64_t n_features) {
    constexpr int kChains = 4;
    float total = 0;
    for (std::int64_t k0 = 0; k0 < n_features; k0 += kRun) {
        const std::int64_t end = n_features - k0 < kRun ? n_features : k0 + kRun;
        float sums[kChains] = {};
        std::int64_t k = k0;
        for (; k + kChains <= end; k += kChains)
#pragma GCC unroll 4
            for (int c = 0; c < kChains; ++c) {
                const float difference = left[k + c] - right[k + c];
                sums[c] = __builtin_fmaf(difference, difference, sums[c]);
            }
        for (; k < end; ++k) {
            const float difference = left[k] - right[k];
            sums[0] = __builtin_fmaf(difference, difference, sums[0]);
        }
        total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    return total * 0.5f;
}

inline void entries(const EntryArgs& args) {
    constexpr int kTogether = 8;
    std::int64_t first = 0;
    for (; first + kTogether <= args.count; first += kTogether)
        products<kTogether>(args.row, args.others + first, args.n_features, args.out + first);
    for (; first < args.count; ++first)
        products<1>(args.row, args.others + first, args.n_features, args.out + first);
    for (std::int64_t c = 0; c < args.count; ++c) {
        if (!args.squares_count) {
            args.out[c] = -args.out[c];
            continue;
        }
        const float size = args.half_square + args.half_squares[c];
        const float near = size - args.out[c];
        args.out[c] = near < kNear<float> * size
                          ? half_square_of_difference(args.row, args.others[c], args.n_features)
                          : near;
    }
}

template <class M>
void finish_all(float* values, std::int64_t count) {
    for (std::int64_t first = 0; first < count; first += kStripStep)
        for (std::int64_t i = first; i < first + kStripStep; ++i) values[i] = M::finish(values[i]);
}

inline void finish(Metric metric, float* values, std::int64_t count) {
    switch (metric) {
        case Metric::cosine:
        case Metric::correlation: return finish_all<Cosine>(values, count);
        case Metric::sqeuclidean: return finish_all<SquaredEuclidean>(values, count);
        case Metric::euclidean: return finish_all<Euclidean>(values, count);
        case Metric::angular: return finish_all<Angular>(values, count);
        default: return;
    }
}

extern const ScreenKernels screening;
constinit const ScreenKernels screening{&narrow, &screen, &entries, &finish, 2 * kRun, kRun};

}  // namespace REPSIM_ISA
}  // namespace repsim
