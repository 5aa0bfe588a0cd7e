// The tile: micro-tiles of register sums over runs of features, then the metric's epilogue while they are in cache.
//
// Loop order, innermost first: features of a run (registers), mr-slices of the left rows (the right panel's run stays
// in the first-level cache), right panels (the left rows' run stays in the second), runs. Sums of a run are added to
// the tile, so that a float32 sum is never longer than kRun terms: shorter chains, smaller errors.
#pragma once

#include "tiles/metrics.h"

namespace repsim {
namespace REPSIM_ISA {

constexpr std::int64_t kRun = 128;

// Equal shares of the features, none longer than kRun.
inline std::int64_t run_length(std::int64_t n_features) {
    const std::int64_t n_runs = (n_features + kRun - 1) / kRun;
    return (n_features + n_runs - 1) / n_runs;
}

// Norms minus core is kept down to this fraction of size(u, v); below, differences. Above it a
// float32 distance has a relative error of about 1e-7 / (this fraction).
template <class T>
constexpr T kNear = sizeof(T) == 4 ? T(0.125) : T(0x1p-10);

template <class Core, int kVectors, class T>
inline __attribute__((always_inline)) void run_micro_tile(const T* left, const T* right, std::int64_t length,
                                                          const char* ahead, T* out, std::int64_t out_stride,
                                                          bool first, T one) {
    using Shape = Tile<T>;
    using Vector = typename Shape::vector;
    Vector sums[Shape::mr][kVectors] = {};
    for (int i = 0; i < Shape::mr; ++i)
        for (int v = 0; v < kVectors; ++v) __builtin_prefetch(out + i * out_stride + v * Shape::lanes, 1);
    for (std::int64_t k = 0; k < length; ++k) {
        Vector b[kVectors];
        __builtin_prefetch(ahead + 64 * k, 0, 2);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) b[v] = *reinterpret_cast<const Vector*>(right + v * Shape::lanes);
#pragma GCC unroll 8
        for (int i = 0; i < Shape::mr; ++i) {
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) sums[i][v] = Core::step(sums[i][v], left[i], b[v], one);
        }
        left += Shape::nr;
        right += Shape::nr;
    }
#pragma GCC unroll 8
    for (int i = 0; i < Shape::mr; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
            Vector* cell = reinterpret_cast<Vector*>(out + i * out_stride + v * Shape::lanes);
            *cell = first ? sums[i][v] : Core::join(*cell, sums[i][v]);
        }
    }
}

// One row against one vector of rows, by differences.
template <class Differences, class T>
__attribute__((noinline)) void recompute(const T* left, const T* right, std::int64_t n_features,
                                         typename Tile<T>::vector* out) {
    using Vector = typename Tile<T>::vector;
    constexpr int nr = Tile<T>::nr;
    constexpr int kChains = 4;
    Vector total = {};
    for (std::int64_t k0 = 0; k0 < n_features; k0 += kRun) {
        const std::int64_t end = n_features - k0 < kRun ? n_features : k0 + kRun;
        Vector sums[kChains] = {};
        std::int64_t k = k0;
        for (; k + kChains <= end; k += kChains)
#pragma GCC unroll 4
            for (int c = 0; c < kChains; ++c)
                sums[c] = Differences::step(
                    sums[c], left[(k + c) * nr] - *reinterpret_cast<const Vector*>(right + (k + c) * nr));
        for (; k < end; ++k)
            sums[0] = Differences::step(sums[0], left[k * nr] - *reinterpret_cast<const Vector*>(right + k * nr));
        total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    *out = total * static_cast<T>(Differences::scale);
}

template <class T>
struct MicroTile {
    const T* left;   // feature 0 of the slice's first row
    const T* right;  // feature 0 of the panel's first row
    const T *left_terms, *left_sizes, *right_terms, *right_sizes;
    std::int64_t n_features;
    T* out;
    std::int64_t out_stride;
    std::int64_t first_column;  // of row 0 that is wanted; of row i: + i
};

template <class M, int kVectors, class T>
void finish_micro_tile(const MicroTile<T>& at) {
    using Shape = Tile<T>;
    using Vector = typename Shape::vector;
    typedef typename Bits<T>::type Mask __attribute__((vector_size(REPSIM_VECTOR_BYTES)));
    constexpr int columns = kVectors * Shape::lanes;
    for (int i = 0; i < Shape::mr; ++i) {
        T* line = at.out + i * at.out_stride;
        if constexpr (M::needs_norms) {
            Mask cancelled[kVectors];
            Mask any = {};
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) {
                Vector* cell = reinterpret_cast<Vector*>(line + v * Shape::lanes);
                const Vector terms =
                    at.left_terms[i] + *reinterpret_cast<const Vector*>(at.right_terms + v * Shape::lanes);
                const Vector sizes =
                    at.left_sizes[i] + *reinterpret_cast<const Vector*>(at.right_sizes + v * Shape::lanes);
                *cell = M::near(*cell, terms);
                cancelled[v] = *cell < kNear<T> * sizes;
                any |= cancelled[v];
            }
            if (any_lane(any))
                for (int v = 0; v < kVectors; ++v) {
                    // entries on and below the diagonal are not needed
                    const auto first = static_cast<typename Bits<T>::type>(at.first_column + i - v * Shape::lanes);
                    cancelled[v] &= lane_numbers<Mask>() >= first;
                    if (!any_lane(cancelled[v])) continue;
                    Vector* cell = reinterpret_cast<Vector*>(line + v * Shape::lanes);
                    Vector exact;
                    recompute<typename M::Differences>(at.left + i, at.right + v * Shape::lanes, at.n_features, &exact);
                    *cell = cancelled[v] ? exact : *cell;
                }
        }
        for (int j = 0; j < columns; ++j) line[j] = M::finish(line[j]);
    }
}

// What the next run reads, one line per feature of each micro-tile: parts of the right panel while the first slices
// are multiplied, then, with the first right panel, those of the left rows.
struct Ahead {
    const char *left = nullptr, *right = nullptr;  // panels at the feature where the next run begins
    std::int64_t left_panel_bytes = 0;
    std::int64_t run_bytes = 0;   // of a panel
    std::int64_t part_bytes = 1;  // fetched during one micro-tile
    std::int64_t n_left_panels = 0;

    const char* part(std::int64_t slice, const char* near) const {
        const std::int64_t parts = (run_bytes + part_bytes - 1) / part_bytes;
        if (slice < parts) return right + slice * part_bytes;
        const std::int64_t rest = slice - parts;
        if (rest < parts * n_left_panels) return left + rest / parts * left_panel_bytes + rest % parts * part_bytes;
        return near;
    }
};

// The metric's last function, applied to a micro-tile after the last run.
template <class M>
struct Finish {
    using Core = typename M::Core;

    template <int kVectors, class T>
    void micro_tile(const TileArgs& args, const T* slice, const T* right, std::int64_t i, std::int64_t first_right,
                    T* corner) const {
        const auto term = [](const PackedRows& rows, RowTerm which) {
            return static_cast<const T*>(rows.terms[which]);
        };
        finish_micro_tile<M, kVectors>(
            MicroTile<T>{slice, right, term(args.left, M::term) + i, term(args.left, M::size_term) + i,
                         term(args.right, M::term) + first_right, term(args.right, M::size_term) + first_right,
                         args.n_features, corner, args.out_stride, args.diagonal ? i + 1 - first_right : -args.n_left});
    }
};

template <int kVectors, class Epilogue, class T>
void run_panel(const TileArgs& args, const Epilogue& epilogue, const T* right, std::int64_t first_right, std::int64_t k,
               std::int64_t length, const Ahead& ahead) {
    using Shape = Tile<T>;
    constexpr int nr = Shape::nr;
    const bool last = k + length == args.n_features;
    const std::int64_t panel_size = args.n_features * nr;
    const T* left = static_cast<const T*>(args.left.values);
    T* out = static_cast<T*>(args.out) + first_right;
    static const volatile T unknown_one = 1;
    const T one = unknown_one;
    // on the diagonal, slices whose first row is past the last column but one have nothing to the right of it
    const std::int64_t last_column = (args.n_right < first_right + nr ? args.n_right : first_right + nr) - 1;
    const std::int64_t n_left = args.diagonal && last_column < args.n_left ? last_column : args.n_left;
    for (std::int64_t i = 0; i < n_left; i += Shape::mr) {
        const T* slice = left + i / nr * panel_size + i % nr;
        T* corner = out + i * args.out_stride;
        const char* near = reinterpret_cast<const char*>(right + k * nr);
        run_micro_tile<typename Epilogue::Core, kVectors>(slice + k * nr, right + k * nr, length,
                                                          ahead.part(i / Shape::mr, near), corner, args.out_stride,
                                                          k == 0, one);
        if (last) epilogue.template micro_tile<kVectors>(args, slice, right, i, first_right, corner);
    }
}

template <class T, class Epilogue>
void make_tile_of(const TileArgs& args, const Epilogue& epilogue) {
    using Shape = Tile<T>;
    constexpr int nr = Shape::nr;
    const std::int64_t run = run_length(args.n_features);
    for (std::int64_t k = 0; k < args.n_features; k += run) {
        const std::int64_t length = args.n_features - k < run ? args.n_features - k : run;
        const bool last = k + length == args.n_features;
        const NextTile& next = args.next;
        const std::int64_t panel_bytes = (last ? next.n_features : args.n_features) * nr * sizeof(T);
        const std::int64_t skipped = last ? 0 : (k + length) * nr * static_cast<std::int64_t>(sizeof(T));
        Ahead ahead;
        ahead.left = static_cast<const char*>(last ? next.left : args.left.values) + skipped;
        ahead.left_panel_bytes = panel_bytes;
        ahead.run_bytes = length * nr * static_cast<std::int64_t>(sizeof(T));
        ahead.part_bytes = length * 64;
        for (std::int64_t j = 0; j < args.n_right; j += nr) {
            const T* right = static_cast<const T*>(args.right.values) + j * args.n_features;
            const std::int64_t used = args.n_right - j;
            ahead.right =
                static_cast<const char*>(last ? next.right : args.right.values) + j / nr * panel_bytes + skipped;
            ahead.n_left_panels = j == 0 ? (args.n_left + nr - 1) / nr : 0;
            if (used <= Shape::lanes)
                run_panel<1>(args, epilogue, right, j, k, length, ahead);
            else if (used <= 2 * Shape::lanes)
                run_panel<2>(args, epilogue, right, j, k, length, ahead);
            else
                run_panel<Shape::vectors>(args, epilogue, right, j, k, length, ahead);
        }
    }
}

template <class T>
void make_tile(const TileArgs& args) {
    switch (args.metric) {
        case Metric::dot: return make_tile_of<T>(args, Finish<Dot>{});
        case Metric::cosine:
        case Metric::correlation: return make_tile_of<T>(args, Finish<Cosine>{});
        case Metric::sqeuclidean: return make_tile_of<T>(args, Finish<SquaredEuclidean>{});
        case Metric::euclidean: return make_tile_of<T>(args, Finish<Euclidean>{});
        case Metric::angular: return make_tile_of<T>(args, Finish<Angular>{});
        case Metric::manhattan: return make_tile_of<T>(args, Finish<Manhattan>{});
        case Metric::chebyshev: return make_tile_of<T>(args, Finish<Chebyshev>{});
    }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
