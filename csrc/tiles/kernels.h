// The table of pairwise kernels that each instruction set fills with the same source (isa_kernels.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/isa.h"
#include "gemm/kernels.h"
#include "tiles/metric.h"

namespace repsim {

// What a metric needs of a single row u, in float64 from the rounded values, rounded to the tile's type.
enum RowTerm : int {
    half_square,  // |u|^2 / 2
    plain_sum,    // sum_k u_k
    magnitude,    // sum_k |u_k|
    n_row_terms,
};

struct PackedRows {
    const void* values;              // a panel, [feature][nr]; the next one follows at once
    const void* terms[n_row_terms];  // of these rows
};

struct TransposeArgs {
    const char* rows;         // first row; elements of a row are contiguous
    std::int64_t row_stride;  // bytes
    DType dtype;
    std::int64_t n_rows;  // at most nr; the rest of the panel becomes zero rows
    std::int64_t n_features;
    RowTransform transform;
    const double* shift;  // n_features values, or null
    double* scratch;      // n_features values
    void* staging;        // kStagedRows rows of n_features + kStagingPad elements
    void* panel;
    void* terms[n_row_terms];
};
constexpr std::int64_t kStagedRows = 16;
constexpr std::int64_t kStagingPad = 16;  // rows a power of two apart would share cache sets

// The tile that will be made after this one, for prefetching only: any address is valid.
struct NextTile {
    const void *left, *right;
    std::int64_t n_features;
};

struct TileArgs {
    PackedRows left, right;  // both begin at a panel
    std::int64_t n_left, n_right;
    std::int64_t n_features;
    Metric metric;
    bool diagonal;  // left is right: only entries with column > row are needed
    void* out;
    std::int64_t out_stride;  // a multiple of nr
    NextTile next;
};

// v = value; exp(-gamma value); exp(-gamma value) - 1; or table[clip(floor((value - low) * scale), 0, bins - 1)]
enum class MapKind : int { none, rbf, expm1, table };

struct MapArgs {
    MapKind kind = MapKind::none;
    double gamma = 0;
    double low = 0, scale = 0;
    const float* table = nullptr;
    std::int64_t bins = 0;
    double origin = 0;  // subtracted after the map
};

// clip(floor((value - low) * scale), 0, bins - 1), scale = bins / (high - low)
struct BinArgs {
    double low = 0, scale = 1;
    std::int64_t bins = 1;
};

constexpr std::int64_t kColumnsAtOnce = 8;  // at most; rows are read up to a multiple of it

constexpr int kMostDots = 6;
constexpr std::int64_t kStripStep = 16;  // two of the widest vectors

struct PairKernels {
    int mr, nr;
    std::size_t row_bytes;   // of an element of a packed row
    std::size_t tile_bytes;  // of an element of a tile
    void (*transpose)(const TransposeArgs&);
    void (*tile)(const TileArgs&);
    // centre_on_grid.h: n rows of `width` float64, `stride` apart; columns: kColumnsAtOnce * n values, aligned
    void (*centre)(const double* rows, std::int64_t stride, std::int64_t n, std::int64_t width, double* columns,
                   double* out);
    // out[i] = map(values[i]) - origin
    void (*map)(const void* values, std::int64_t count, const MapArgs& map, double* out);
    // Sums over strips of mapped entries, in an order that depends only on the count. dots: out[m] = <x, others[m]>,
    // m < n_others <= kMostDots; count a multiple of kStripStep and strips on 64-byte boundaries.
    double (*sum)(const double* x, std::int64_t count);
    void (*dots)(const double* x, const double* const* others, int n_others, std::int64_t count, double* out);
    void (*add)(const double* x, std::int64_t count, double* out);  // out[i] += x[i]
    void (*bin)(const void* values, std::int64_t count, const BinArgs& bins, std::int32_t* out);
    // Positions i with values[i] <= limits[i] (or limits[0], if it is the one), ascending; returns how many.
    std::int64_t (*select)(const void* values, const void* limits, bool one_limit, std::int64_t count,
                           std::int32_t* out);
};

const PairKernels& pair_kernels(Isa isa, TilePrecision precision);

}  // namespace repsim
