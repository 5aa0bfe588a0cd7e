// Included by isa_avx512bf16.cpp, never elsewhere: see gemm/isa_kernels.h for the rules. The loops are those of
// tile_kernel.h over pairs of features; a pair is handled as the float32 whose bits it fills.
#pragma once

#include <immintrin.h>

#include "neighbours/screen_kernels.h"

#include "tiles/tile_kernel.h"

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
    std::int64_t k = 0;
    for (; k + kStep <= n; k += kStep)
        for (int s = 0; s < nr; ++s)
#pragma GCC unroll 16
            for (std::int64_t l = k; l < k + kStep; ++l) args.rows[s * n + l] = args.panel[l * nr + s];
    for (; k < n; ++k)
        for (int s = 0; s < nr; ++s) args.rows[s * n + k] = args.panel[k * nr + s];
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

inline double product_error(double length_u, double rest_u, double length_v, double rest_v) {
    return rest_u * length_v + length_u * rest_v;
}
inline double sizes(double low_u, double low_v) { return __builtin_fabs(low_u) + __builtin_fabs(low_v); }
inline float rounded_up(double x) { return static_cast<float>(x + 0x1p-20 * __builtin_fabs(x)); }

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
                    const double width = product_error(length_u[r], rest_u[r], length_v[lane], rest_v[lane]) +
                                         1.01 * args.errors.of_squares * sizes(low_u[r], low_v[lane]) +
                                         3 * args.errors.absolute;
                    *(*next)++ = {static_cast<std::int16_t>(i + r), static_cast<std::int16_t>(col), line[lane],
                                  rounded_up(line[lane] + 2 * width)};
                }
        }
    }
};

inline std::int64_t screen(const ScreenArgs& args) {
    Hit* next = args.hits;
    make_tile_of<float>(args.tile, Sieve{args, &next});
    return next - args.hits;
}

// The sums of tile_kernel.h, a chain of multiply-adds per run of features, for `n` pairs side by side. Multiply-adds
// are explicit, because a compiler might emit a separate multiply and add in these loops.
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

// recompute() of tile_kernel.h, whose four chains are four lanes here, for `n` pairs side by side.
template <int n>
void differences(const float* row, const float* const* others, std::int64_t n_features, float* out) {
    typedef float Chains __attribute__((vector_size(16), aligned(4)));
    constexpr int kChains = 4;
    float totals[n] = {};
    for (std::int64_t k0 = 0; k0 < n_features; k0 += kRun) {
        const std::int64_t end = n_features - k0 < kRun ? n_features : k0 + kRun;
        Chains sums[n] = {};
        std::int64_t k = k0;
        for (; k + kChains <= end; k += kChains)
#pragma GCC unroll 8
            for (int c = 0; c < n; ++c) {
                const Chains difference =
                    *reinterpret_cast<const Chains*>(row + k) - *reinterpret_cast<const Chains*>(others[c] + k);
                sums[c] = (Chains)_mm_fmadd_ps((__m128)difference, (__m128)difference, (__m128)sums[c]);
            }
        for (int c = 0; c < n; ++c) {
            float first = sums[c][0];
            for (std::int64_t rest = k; rest < end; ++rest) {
                const float difference = row[rest] - others[c][rest];
                first = __builtin_fmaf(difference, difference, first);
            }
            totals[c] += (first + sums[c][1]) + (sums[c][2] + sums[c][3]);
        }
    }
    for (int c = 0; c < n; ++c) out[c] = totals[c] * static_cast<float>(HalfSquares::scale);
}

constexpr int kTogether = 8;

// In eights, the last filled up with its first pair.
template <class Kernel>
void by_eights(const EntryArgs& args, const float* const* others, std::int64_t count, float* out, Kernel kernel) {
    for (std::int64_t first = 0; first < count; first += kTogether) {
        const float* eight[kTogether];
        float values[kTogether];
        const std::int64_t used = count - first < kTogether ? count - first : kTogether;
        for (std::int64_t c = 0; c < kTogether; ++c) eight[c] = others[first + (c < used ? c : 0)];
        kernel(args.row, eight, args.n_features, values);
        for (std::int64_t c = 0; c < used; ++c) out[first + c] = values[c];
    }
}

inline void entries(const EntryArgs& args) {
    by_eights(args, args.others, args.count, args.out, &products<kTogether>);
    if (!args.squares_count) {
        for (std::int64_t c = 0; c < args.count; ++c) args.out[c] = -args.out[c];
        return;
    }
    const float* near_rows[kMostEntries];
    std::int64_t places[kMostEntries], n_near = 0;
    for (std::int64_t c = 0; c < args.count; ++c) {
        const float size = args.half_square + args.half_squares[c];
        args.out[c] = size - args.out[c];
        if (!(args.out[c] < kNear<float> * size)) continue;
        near_rows[n_near] = args.others[c];
        places[n_near++] = c;
    }
    float values[kMostEntries];
    by_eights(args, near_rows, n_near, values, &differences<kTogether>);
    for (std::int64_t c = 0; c < n_near; ++c) args.out[places[c]] = values[c];
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
