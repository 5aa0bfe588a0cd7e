// Searches for values that must not enter a sum, before anything is added, so that a refused chunk leaves the state as
// it was.
#pragma once

#include <cstdint>

#include "core/matrix_view.h"
#include "gemm/kernels.h"

namespace repsim {

struct BadEntry {
    std::int64_t row = -1;  // -1: none
    std::int64_t col = -1;  // -1: the whole row
};

// The first NaN or infinity, in row order.
BadEntry first_nonfinite(const MatrixView& view, int n_threads);

// The first row without a direction: all zero (unit), or constant (unit_centred).
BadEntry first_directionless_row(const MatrixView& view, RowTransform transform, int n_threads);

}  // namespace repsim
