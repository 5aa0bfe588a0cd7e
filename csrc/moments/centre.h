// From sums around a shift to sums around the mean.
#pragma once

#include <cstdint>

namespace repsim {

// matrix[i, j] -= e[i] f[j], in place. With e = f a symmetric matrix stays so to the bit.
void subtract_outer(double* matrix, std::int64_t rows, std::int64_t cols, const double* e, const double* f,
                    int n_threads);

}  // namespace repsim
