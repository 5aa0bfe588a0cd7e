#include "moments/centre.h"

#include <algorithm>
#include <numeric>

#include "core/thread_pool.h"

namespace repsim {
namespace {

constexpr std::int64_t kRowsPerTask = 64;
constexpr int kLanes = 8;  // fixed, so that sums are the same wherever they are made

double centre_row(double* row, std::int64_t cols, double e, const double* f) {
    double lane[kLanes] = {};
    const auto step = [&](std::int64_t j, int l) {
        row[j] -= e * f[j];
        lane[l] += row[j] * row[j];
    };
    std::int64_t j = 0;
    for (; j + kLanes <= cols; j += kLanes)
        for (int l = 0; l < kLanes; ++l) step(j + l, l);
    for (int l = 0; j < cols; ++j, ++l) step(j, l);
    return std::accumulate(lane, lane + kLanes, 0.0);
}

}  // namespace

void centre(double* matrix, std::int64_t rows, std::int64_t cols, const double* e, const double* f, double* squares,
            int n_threads) {
    parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, n_threads, [&](std::int64_t task, int) {
        for (std::int64_t i = task * kRowsPerTask; i < std::min(rows, (task + 1) * kRowsPerTask); ++i)
            squares[i] = centre_row(matrix + i * cols, cols, e[i], f);
    });
}

}  // namespace repsim
