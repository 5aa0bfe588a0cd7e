#include "moments/centre.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

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

double pairwise_sum(const double* values, std::int64_t n, std::int64_t stride) {
    constexpr std::int64_t kBlock = 128;
    if (n < kLanes) {
        double total = 0;
        for (std::int64_t i = 0; i < n; ++i) total += values[i * stride];
        return total;
    }
    if (n > kBlock) {
        const std::int64_t half = n / 2 - n / 2 % kLanes;
        return pairwise_sum(values, half, stride) + pairwise_sum(values + half * stride, n - half, stride);
    }
    double lane[kLanes];
    for (int l = 0; l < kLanes; ++l) lane[l] = values[l * stride];
    std::int64_t i = kLanes;
    for (; i + kLanes <= n; i += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += values[(i + l) * stride];
    double total = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    for (; i < n; ++i) total += values[i * stride];
    return total;
}

// The mean times sqrt(n): one factor of n on each side.
std::vector<double> scaled_mean(const double* sums, std::int64_t size, double n_samples) {
    std::vector<double> scaled(size);
    for (std::int64_t j = 0; j < size; ++j) scaled[j] = std::sqrt(n_samples) * (sums[j] / n_samples);
    return scaled;
}

struct Task {
    std::size_t matrix;
    std::int64_t begin, end;  // rows
};

}  // namespace

std::vector<CentredSums> centre(const std::vector<Centring>& matrices, double n_samples, int n_threads) {
    std::vector<std::vector<double>> lefts, rights, squares;
    std::vector<Task> tasks;
    double entries = 0;
    for (std::size_t m = 0; m < matrices.size(); ++m) {
        const Centring& matrix = matrices[m];
        lefts.push_back(scaled_mean(matrix.left, matrix.rows, n_samples));
        rights.push_back(scaled_mean(matrix.right, matrix.cols, n_samples));
        squares.emplace_back(matrix.rows);
        entries += static_cast<double>(matrix.rows) * static_cast<double>(matrix.cols);
        for (std::int64_t i = 0; i < matrix.rows; i += kRowsPerTask)
            tasks.push_back({m, i, std::min(matrix.rows, i + kRowsPerTask)});
    }
    parallel_for(static_cast<std::int64_t>(tasks.size()), threads_for(entries, n_threads),
                 [&](std::int64_t index, int) {
                     const Task& task = tasks[index];
                     const Centring& matrix = matrices[task.matrix];
                     const double *e = lefts[task.matrix].data(), *f = rights[task.matrix].data();
                     for (std::int64_t i = task.begin; i < task.end; ++i) {
                         if (matrix.diagonal)
                             matrix.sums[i] -= e[i] * f[i];
                         else
                             squares[task.matrix][i] = centre_row(matrix.sums + i * matrix.cols, matrix.cols, e[i], f);
                     }
                 });
    std::vector<CentredSums> found;
    for (std::size_t m = 0; m < matrices.size(); ++m) {
        const auto& [sums, rows, cols, left, right, diagonal] = matrices[m];
        found.push_back({pairwise_sum(squares[m].data(), rows, 1),
                         pairwise_sum(sums, std::min(rows, cols), diagonal ? 1 : cols + 1)});
    }
    return found;
}

}  // namespace repsim
