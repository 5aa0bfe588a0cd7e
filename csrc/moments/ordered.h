// Products of vectors and matrices whose terms are added in a fixed order, so that every processor gives the same bits.
// BLAS libraries add in an order of their own.
#pragma once

#include <cstdint>

namespace repsim {

double ordered_dot(const double* a, const double* b, std::int64_t n);

// out = a^T M for a matrix of (rows, cols)
void ordered_vector_matrix(const double* a, const double* matrix, std::int64_t rows, std::int64_t cols, double* out);

}  // namespace repsim
