#include "moments/centre.h"

#include <algorithm>

#include "core/thread_pool.h"

namespace repsim {
namespace {

constexpr std::int64_t kRowsPerTask = 64;

}  // namespace

void subtract_outer(double* matrix, std::int64_t rows, std::int64_t cols, const double* e, const double* f,
                    int n_threads) {
    parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, n_threads, [&](std::int64_t task, int) {
        for (std::int64_t i = task * kRowsPerTask; i < std::min(rows, (task + 1) * kRowsPerTask); ++i) {
            double* row = matrix + i * cols;
            const double e_i = e[i];
            for (std::int64_t j = 0; j < cols; ++j) row[j] -= e_i * f[j];
        }
    });
}

}  // namespace repsim
