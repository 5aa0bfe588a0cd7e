// From a product to an entry: metric, recomputation of what cancelled, map, origin. Shared by all reductions.
//
// A warp looks at 4 rows of 128 columns at a time: each lane holds a patch of 4 rows x 4 neighbouring columns.
#pragma once

#include <cstdint>

#include "cuda/elements.h"
#include "cuda/launch.h"
#include "cuda/tiles/layer.h"
#include "tiles/metric_epilogue.h"

namespace repsim::cuda {

constexpr int kPatchRows = 4, kPatchCols = 4, kPatch = kPatchRows * kPatchCols;
constexpr int kEpilogueThreads = 256, kEpilogueWarps = kEpilogueThreads / 32;
constexpr int kWarpRows = kStrip / kEpilogueWarps;  // rows of a strip that one warp reduces
static_assert(kPatchCols * 32 == kStrip && kWarpRows % kPatchRows == 0);

// PairLayer with its types resolved, for one tile: passed to kernels by value.
template <class Real>
struct LayerTile {
    const Real *tile, *left_half_squares, *left_scales, *right_half_squares, *right_scales;
    const void *left_values, *right_values;
    const float* table;
    std::int64_t value_stride;
    double low, bin_scale;
    Real gamma, unit, origin;  // (v - origin) unit is v unit - this origin
    int n_features, bins;
    RowType value_type;
    MapKind map;
};

struct TilePlace {
    Metric metric;
    bool symmetric;
    int stride;                         // of a tile's rows
    std::int64_t first_row, first_col;  // of the tile in the whole matrix
    std::int64_t n_left, n_right;
};

template <class Real>
inline LayerTile<Real> layer_tile(const PairLayer& layer) {
    const auto real = [](const void* p) { return static_cast<const Real*>(p); };
    return {real(layer.tile),
            real(layer.left.half_squares),
            real(layer.left.scales),
            real(layer.right.half_squares),
            real(layer.right.scales),
            layer.left.values,
            layer.right.values,
            layer.table,
            layer.value_stride,
            layer.low,
            layer.bin_scale,
            static_cast<Real>(layer.gamma),
            static_cast<Real>(layer.unit),
            static_cast<Real>(layer.origin * layer.unit),
            layer.n_features,
            layer.bins,
            layer.value_type,
            layer.map};
}

// Half the squared distance of two rows: the metrics that are a function of it.
REPSIM_BOTH bool is_half_distance(Metric metric) {
    return metric != Metric::dot && metric != Metric::manhattan && metric != Metric::chebyshev;
}

__device__ __forceinline__ float square_root(float x) {
#ifdef __CUDACC__
    float root;  // within 1 ulp, a third of the instructions of the correctly rounded one
    asm("sqrt.approx.f32 %0, %1;" : "=f"(root) : "f"(x));
    return root;
#else
    return __builtin_sqrtf(x);
#endif
}
__device__ __forceinline__ double square_root(double x) { return sqrt(x); }

// The Math of metric_epilogue.h. Unused entries may be below 0.
struct DeviceMath {
    template <class Real>
    static __device__ __forceinline__ Real root(Real x) {
        return square_root(x > 0 ? x : Real(0));
    }
    template <class Real>
    static __device__ __forceinline__ Real arcsine(Real x) {
        return asin(x);
    }
};

template <class Real>
__device__ __forceinline__ void load_quad(const Real* from, Real (&to)[4]) {
    struct alignas(4 * sizeof(Real)) Quad {
        Real at[4];
    };
    const Quad quad = *reinterpret_cast<const Quad*>(from);
#pragma unroll
    for (int c = 0; c < 4; ++c) to[c] = quad.at[c];
}

__device__ __forceinline__ double warp_sum(double x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
    return x;
}

template <class Real>
__device__ __forceinline__ double value_at(const void* values, std::int64_t stride, const Real* scales, RowType type,
                                           std::int64_t row, int k) {
    const std::int64_t at = row * stride + k;
    if (type == RowType::f64) return static_cast<const double*>(values)[at];
    if (type == RowType::f32) return static_cast<const float*>(values)[at];
    return static_cast<double>(widen(static_cast<const f16*>(values)[at])) * scales[row];
}

// |u_i - v_j|^2 / 2 from the differences, by a whole warp: exactly 0 for equal rows, and the same in every lane.
template <class Real>
__device__ __forceinline__ Real half_distance(const LayerTile<Real>& layer, std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (int k = static_cast<int>(threadIdx.x) % 32; k < layer.n_features; k += 32) {
        const double difference =
            value_at(layer.left_values, layer.value_stride, layer.left_scales, layer.value_type, i, k) -
            value_at(layer.right_values, layer.value_stride, layer.right_scales, layer.value_type, j, k);
        sum += difference * difference;
    }
    return static_cast<Real>(0.5 * warp_sum(sum));
}

REPSIM_BOTH int bin_of(double value, double low, double bin_scale, int bins) {
    const double bin = (value - low) * bin_scale;
    return bin < 1 ? 0 : bin < bins ? static_cast<int>(bin) : bins - 1;
}

// The metric's last function, of half a squared distance.
template <class Real>
__device__ __forceinline__ void finish_metric(Metric metric, Real (&v)[kPatch]) {
    if (metric == Metric::euclidean) {
#pragma unroll
        for (int e = 0; e < kPatch; ++e) v[e] = epilogue::euclidean<DeviceMath>(v[e]);
    } else if (metric == Metric::sqeuclidean) {
#pragma unroll
        for (int e = 0; e < kPatch; ++e) v[e] = epilogue::sqeuclidean<DeviceMath>(v[e]);
    } else if (metric == Metric::angular) {
#pragma unroll
        for (int e = 0; e < kPatch; ++e) v[e] = epilogue::angular<DeviceMath>(v[e]);
    } else if (metric == Metric::cosine || metric == Metric::correlation) {
#pragma unroll
        for (int e = 0; e < kPatch; ++e) v[e] = epilogue::cosine<DeviceMath>(v[e]);
    }
}

// The columns' terms of a lane, read once and used for all rows of its warp.
template <class Real>
struct ColumnTerms {
    Real half_squares[kPatchCols], scales[kPatchCols];
};

template <class Real>
__device__ __forceinline__ ColumnTerms<Real> column_terms(const LayerTile<Real>& layer, std::int64_t col) {
    ColumnTerms<Real> terms;
    load_quad(layer.right_half_squares + col, terms.half_squares);
    load_quad(layer.right_scales + col, terms.scales);
    return terms;
}

// v[4 r + c]: distance of the patch at (row, col) of the tile, before map and origin. All lanes of a warp call it with
// the same row; `wanted` has a bit for each entry that counts.
template <class Real>
__device__ __forceinline__ void distances_of_patch(const LayerTile<Real>& layer, const TilePlace& place, int row,
                                                   int col, const ColumnTerms<Real>& columns, unsigned wanted,
                                                   Real (&v)[kPatch]) {
    const std::int64_t i = place.first_row + row, j = place.first_col + col;
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) {
        Real quad[kPatchCols];
        load_quad(layer.tile + static_cast<std::int64_t>(row + r) * place.stride + col, quad);
#pragma unroll
        for (int c = 0; c < kPatchCols; ++c) v[kPatchCols * r + c] = quad[c];
    }
    if (place.metric == Metric::manhattan || place.metric == Metric::chebyshev) return;
    unsigned near = 0;
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) {
        const Real half_square = layer.left_half_squares[i + r], scale = layer.left_scales[i + r];
#pragma unroll
        for (int c = 0; c < kPatchCols; ++c) {
            const int e = kPatchCols * r + c;
            const Real product = v[e] * scale * columns.scales[c];
            const Real terms = half_square + columns.half_squares[c];
            v[e] = place.metric == Metric::dot ? product : epilogue::half_squared_distance(terms, product);
            near |= v[e] < terms * Real(0.0625) ? 1u << e : 0u;
        }
    }
    if (place.metric == Metric::dot) return;
    near &= wanted;
    if (__ballot_sync(kAllLanes, near != 0) != 0) {
        const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll 1
        for (int e = 0; e < kPatch; ++e) {
            const unsigned lanes = __ballot_sync(kAllLanes, near >> e & 1);
#pragma unroll 1
            for (int source = 0; source < 32; ++source) {
                if (!(lanes >> source & 1)) continue;
                const Real h =
                    half_distance(layer, i + e / kPatchCols, j + (source - lane) * kPatchCols + e % kPatchCols);
#pragma unroll
                for (int at = 0; at < kPatch; ++at)  // a run-time index would move the patch to local memory
                    if (at == e && lane == source) v[at] = h;
            }
        }
    }
    finish_metric(place.metric, v);
}

// ... and after them.
template <class Real>
__device__ __forceinline__ void entries_of_patch(const LayerTile<Real>& layer, const TilePlace& place, int row, int col,
                                                 const ColumnTerms<Real>& columns, unsigned wanted, Real (&v)[kPatch]) {
    distances_of_patch(layer, place, row, col, columns, wanted, v);
    if (layer.map == MapKind::rbf) {
#pragma unroll
        for (int e = 0; e < kPatch; ++e) v[e] = exp(-layer.gamma * v[e]);
    } else if (layer.map == MapKind::expm1) {
#pragma unroll
        for (int e = 0; e < kPatch; ++e) v[e] = expm1(-layer.gamma * v[e]);
    } else if (layer.map == MapKind::table) {
#pragma unroll
        for (int e = 0; e < kPatch; ++e) v[e] = layer.table[bin_of(v[e], layer.low, layer.bin_scale, layer.bins)];
    }
#pragma unroll
    for (int e = 0; e < kPatch; ++e) v[e] = v[e] * layer.unit - layer.origin;
}

// Which entries of a patch lie in rows [row_begin, row_end) x columns [col_begin, col_end) of the whole matrix, and,
// where `upper`, right of the diagonal.
struct Window {
    std::int64_t row_begin, row_end, col_begin, col_end;
    bool upper;
};

__device__ __forceinline__ unsigned wanted_of_patch(const Window& window, std::int64_t i, std::int64_t j) {
    unsigned wanted = 0;
#pragma unroll
    for (int e = 0; e < kPatch; ++e) {
        const std::int64_t r = i + e / kPatchCols, s = j + e % kPatchCols;
        if (r >= window.row_begin && r < window.row_end && s >= window.col_begin && s < window.col_end &&
            (!window.upper || s > r))
            wanted |= 1u << e;
    }
    return wanted;
}

}  // namespace repsim::cuda
