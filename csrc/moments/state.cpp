// What the sums are so far, with the rows that do not fill a block yet; and sums that were saved, taken over.
#include <algorithm>

#include "core/thread_pool.h"
#include "moments/moments.h"

namespace repsim {

const Moments::Packed& Moments::tail(int n_threads) const {
    if (!tail_is_packed_) {
        std::vector<std::vector<double>> shifts;
        for (int side = 0; side < sides(); ++side) shifts.push_back(shift(side));
        pack({pending_block()}, shifts, packed_, n_threads);
        tail_is_packed_ = true;
    }
    return packed_;
}

std::vector<double> Moments::shift(int side) const {
    if (has_shift()) return shift_[side];
    if (n_pending_ == 0) return std::vector<double>(config_.widths[side], 0.0);
    return shift_for(pending_block(), side);
}

// Tile by tile: a task's part of the sum goes to its place by way of a buffer in L2, where the tail is added to it.
void Moments::read_sum(int index, bool complete, double* out, int n_threads) const {
    const Sum& sum = sums_[index];
    const std::int64_t rows = config_.widths[sum.left], cols = config_.widths[sum.right], nr = kernels_.nr;
    const bool with_tail = complete && n_pending_ > 0, mirrored = index < sides();
    const std::vector<Block> blocks{pending_block()};
    const Packed& packed = with_tail ? tail(n_threads) : packed_;
    std::vector<const Task*> tasks;
    for (const Task& task : tasks_)
        if (task.sum == index) tasks.push_back(&task);
    std::vector<AlignedBuffer<double>> tiles(std::max(n_threads, 1));
    parallel_for(static_cast<std::int64_t>(tasks.size()), n_threads, [&](std::int64_t number, int thread) {
        const Task& task = *tasks[number];
        const std::int64_t top = task.p0 * nr, height = (task.p1 - task.p0) * nr, bottom = std::min(rows, top + height);
        const std::int64_t left = task.q0 * nr, width = (task.q1 - task.q0) * nr, right = std::min(cols, left + width);
        auto& tile = tiles[thread];
        if (tile.size() == 0) tile = AlignedBuffer<double>::uninitialised(kPanelsPerTask * kPanelsPerTask * nr * nr);
        for (std::int64_t i = 0; i < height; ++i)
            std::copy_n(sum.values.data() + (top + i) * sum.cols + left, width, tile.data() + i * width);
        if (with_tail) run_task(task, blocks, packed, tile.data(), width);
        for (std::int64_t i = top; i < bottom; ++i) {
            const std::int64_t first = mirrored ? std::max(i, left) : left;  // only the upper triangle is kept up
            if (first < right)
                std::copy_n(tile.data() + (i - top) * width + (first - left), right - first, out + i * cols + first);
        }
        if (!mirrored) return;
        for (std::int64_t j = left; j < right; ++j)
            for (std::int64_t i = top; i < std::min(bottom, j); ++i)
                out[j * cols + i] = tile.data()[(i - top) * width + (j - left)];
    });
}

void Moments::read_self(int side, bool complete, double* out, int n_threads) const {
    read_sum(side, complete, out, n_threads);
}

void Moments::read_cross(int pair, bool complete, double* out, int n_threads) const {
    read_sum(sides() + pair, complete, out, n_threads);
}

void Moments::read_weighted(int side, bool complete, double* out) const {
    AlignedBuffer<double> values(weighted_[side].size());
    std::copy_n(weighted_[side].data(), values.size(), values.data());
    if (complete && n_pending_ > 0)
        run_task({-1 - side, 0, 0, 0, padded(side) / kernels_.nr}, {pending_block()}, tail(1), values.data(),
                 padded(side));
    const std::int64_t width = config_.widths[side];
    for (std::int64_t w = 0; w < 1 + sides(); ++w)
        std::copy_n(values.data() + w * padded(side), width, out + w * width);
}

void Moments::read_norms(bool complete, double* out) const {
    std::copy(norms_.begin(), norms_.end(), out);
    if (complete && n_pending_ > 0) add_norm_products({pending_block()}, tail(1), out);
}

void Moments::restore(std::int64_t n_blocks, const std::vector<std::vector<double>>& shifts) {
    n_blocks_ = n_blocks;
    shift_ = shifts;
    tail_is_packed_ = false;
}

void Moments::write_sum(int index, const double* in) {
    Sum& sum = sums_[index];
    const std::int64_t cols = config_.widths[sum.right];
    for (std::int64_t i = 0; i < config_.widths[sum.left]; ++i)
        std::copy_n(in + i * cols, cols, sum.values.data() + i * sum.cols);
}

void Moments::write_self(int side, const double* in) { write_sum(side, in); }

void Moments::write_cross(int pair, const double* in) { write_sum(sides() + pair, in); }

void Moments::write_weighted(int side, const double* in) {
    const std::int64_t width = config_.widths[side];
    for (std::int64_t w = 0; w < 1 + sides(); ++w)
        std::copy_n(in + w * width, width, weighted_[side].data() + w * padded(side));
}

void Moments::write_norms(const double* in) { std::copy_n(in, norms_.size(), norms_.begin()); }

void Moments::write_pending(std::int64_t n_rows, const std::vector<const double*>& rows) {
    n_pending_ = n_rows;
    tail_is_packed_ = false;
    for (int side = 0; side < sides(); ++side)
        pending_[side].assign(rows[side], rows[side] + n_rows * config_.widths[side]);
}

}  // namespace repsim
