// From sums around a shift to sums around the mean.
#pragma once

#include <cstdint>

namespace repsim {

// matrix[i, j] -= e[i] f[j], in place; with e = f a symmetric matrix stays so to the bit. squares[i]: what the squares of
// row i add up to then, for the norm of the matrix without another reading of it.
void centre(double* matrix, std::int64_t rows, std::int64_t cols, const double* e, const double* f, double* squares,
            int n_threads);

}  // namespace repsim
