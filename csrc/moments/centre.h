// From sums around a shift to sums around the mean.
#pragma once

#include <cstdint>

namespace repsim {

// matrix[i, j] -= e[i] f[j], in place; with e = f a symmetric matrix stays so to the bit. squares[i]: the sum of the
// squares of row i after that, for the norm of the matrix without reading it again.
void centre(double* matrix, std::int64_t rows, std::int64_t cols, const double* e, const double* f, double* squares,
            int n_threads);

}  // namespace repsim
