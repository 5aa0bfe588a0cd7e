// One layer of a pairwise sweep as the GPU holds it: rows packed once, terms of each row, and the functions applied to
// an entry.
//
// Rows u are transformed and shifted, and padded with zero rows to whole tiles. What is multiplied is not u itself but
// the operand: u in float64, or u / scale in half precision with a power of two for each row, either one half ("fast")
// or a sum of two halves high + low, whose product has the digits of float32. In every case u_i . u_j = scale_i scale_j
// product_ij. Two halves lie as [high low high high]: from 1 on, a row is the left factor of low high + high low + high
// high, smallest first; from 0 on, the right one.
#pragma once

#include <cstdint>

#include "tiles/metric.h"

namespace repsim::cuda {

enum class RowType : int { f16, f32, f64 };

// One side of the pairs, in device memory.
struct PackedSide {
    const void* values = nullptr;        // [row][value_stride]: u, or u / scale when they are halves
    const void* half_squares = nullptr;  // |u|^2 / 2 of each row, in the type of the tiles
    const void* scales = nullptr;        // of each row, in the type of the tiles
    const void* operand = nullptr;       // [row][operand_stride]
};

enum class MapKind : int { none, rbf, expm1, table };

struct PairLayer {
    PackedSide left, right;
    RowType value_type = RowType::f32, operand_type = RowType::f32;
    std::int64_t value_stride = 0, operand_stride = 0;
    std::int64_t left_offset = 0;   // elements: where in a row of the left operand its factors begin
    int n_features = 0, depth = 0;  // of values, of operands
    MapKind map = MapKind::none;
    double gamma = 0;
    double low = 0, bin_scale = 0;  // bin of v: floor((v - low) * bin_scale), within [0, bins)
    const float* table = nullptr;
    int bins = 0;
    double origin = 0;       // subtracted after the map
    double unit = 1;         // a power of two that v is then multiplied by: float32 holds the squares of what results
    double noise_scale = 1;  // a power of two: entries times this are near 1 (fused.h)
    void* tile = nullptr;    // [tile_rows][tile_cols]: where the products go
};

// What all layers of a sweep have in common.
struct SweepShape {
    Metric metric = Metric::dot;
    bool is_double = false;  // tiles of float64, else float32
    bool symmetric = true;   // pairs r < s within one set of rows, else all pairs of two
    std::int64_t n_left = 0, n_right = 0;
    int tile_rows = 0, tile_cols = 0;  // multiples of kStrip

    std::int64_t n_tile_rows() const { return (n_left + tile_rows - 1) / tile_rows; }
    std::int64_t n_tile_cols() const { return (n_right + tile_cols - 1) / tile_cols; }
};

constexpr int kStrip = 128;  // a block of threads reduces kStrip x kStrip entries of a tile

}  // namespace repsim::cuda
