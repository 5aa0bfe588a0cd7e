#include "moments/ordered.h"

#include <algorithm>
#include <numeric>

namespace repsim {

double ordered_dot(const double* a, const double* b, std::int64_t n) {
    constexpr int kLanes = 8;
    double lane[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += a[j + l] * b[j + l];
    for (int l = 0; j < n; ++j, ++l) lane[l] += a[j] * b[j];
    return std::accumulate(lane, lane + kLanes, 0.0);
}

void ordered_vector_matrix(const double* a, const double* matrix, std::int64_t rows, std::int64_t cols, double* out) {
    std::fill_n(out, cols, 0.0);
    for (std::int64_t i = 0; i < rows; ++i, matrix += cols)
        for (std::int64_t j = 0; j < cols; ++j) out[j] += a[i] * matrix[j];
}

}  // namespace repsim
