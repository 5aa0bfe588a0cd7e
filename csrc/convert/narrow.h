// Conversion of rows to the element type of a store, rounded to nearest, with their largest magnitudes and column sums.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/matrix_view.h"

namespace repsim {

struct NarrowArgs {
    MatrixView rows;  // elements of a row are contiguous
    DType to;         // f16, bf16 or f32
    char* out;        // rows.rows * rows.cols elements; null when rows have this type already
    double* sums;     // of each column: the first n_summed rows are added, in order, as stored
    std::int64_t n_summed;
};

// Largest magnitudes, infinite or NaN if there is such a value (NaN is the largest).
struct Largest {
    double given, stored;
};

using Narrow = Largest (*)(const NarrowArgs&);

Narrow narrow_kernel(Isa isa);

}  // namespace repsim
