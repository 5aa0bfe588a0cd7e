// Packs rows u in float64 for the tiles (layer.h), one warp a row, in a fixed order: equal rows give equal packed rows.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace repsim::cuda {

enum class PairPrecision : int {
    fp64,  // values, operand: u
    fp32,  // values: u in float32; operand: [high low high high] in half precision
    fast,  // values, operand: u / scale in half precision
};

struct PackTarget {
    PairPrecision precision;
    std::int64_t stride;  // elements of a row of values, and of each of the four parts of the operand
    void* values;
    void* operand;       // only for fp32: the others multiply their values
    void* half_squares;  // |u|^2 / 2 of the rounded u; in float64 for fp64, else in float32, as the scales
    void* scales;        // powers of two; 1 for fp64
};

// u: [rows][cols] dense; the target's pointers are those of the first row.
void pack_pairs(const double* u, std::int64_t rows, int cols, const PackTarget& target, cudaStream_t stream);

}  // namespace repsim::cuda
