// Two layers' tiles and their sums in one kernel of Hopper's tensor cores (sm_90a): no product ever leaves the
// registers.
//
// A block of threads makes 128 x 256 pairs: a warp feeds a ring of operands by bulk tensor copies, two warpgroups
// multiply 64 x 256 each, first layer, epilogue, second layer, epilogue. While one warpgroup is in its epilogue the
// other has the tensor cores. The first layer's entries wait for the second as half-precision numbers, rounded to
// nearest: their own sums are taken before, in float32; products of entries carry a relative noise of 2^-12 without
// bias.
#pragma once

#include <cstdint>

#include "cuda/launch.h"
#include "cuda/tiles/layer.h"

namespace repsim::cuda {

constexpr int kFusedRows = 128, kFusedCols = 256;  // of a block of threads
constexpr int kFusedRowCut = 64;                   // a warpgroup's rows: partial sums are kept for each

struct FusedSums {
    PairLayer layers[2];
    float noise_scale;  // a power of two: entries of the first layer times this are near 1
    Metric metric;
    std::int64_t n;
    std::int64_t first_row, n_rows;  // of the row of tiles
    // Rows cut at block boundaries and multiples of kFusedRowCut, columns at those and multiples of kFusedCols.
    const std::int64_t *row_begin, *rows_of_cut, *col_begin, *cols_of_cut;
    std::int64_t first_segment, n_col_segments;
    double* out[5];  // [row segments of the row of tiles][n_col_segments]: sums, sums of squares, products
};

// Whether this device and this build have the kernel, and whether it knows the metric.
bool fused_available(Metric metric, int depth);

void run_fused(const FusedSums& sums, cudaStream_t stream);

}  // namespace repsim::cuda
