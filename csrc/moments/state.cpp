// Reads the current sums, including blocks that are only packed and rows that do not fill a block; and restores saved
// sums.
#include <algorithm>

#include "core/thread_pool.h"
#include "moments/moments.h"

namespace repsim {

Moments::Slots Moments::packed_slots(bool with_pending, int n_threads) const {
    if (!with_pending || n_pending_ == 0) return {n_packed_, kBlockRows};
    if (!tail_is_packed_) {
        tail_shift_.clear();
        for (int side = 0; side < sides(); ++side) tail_shift_.push_back(shift(side));
        pack({pending_block()}, tail_shift_, n_packed_, n_threads);
        tail_is_packed_ = true;
    }
    return {n_packed_ + 1, n_pending_};
}

std::vector<double> Moments::shift(int side) const {
    if (has_shift()) return shift_[side];
    if (tail_is_packed_) return tail_shift_[side];
    if (n_pending_ == 0) return std::vector<double>(config_.widths[side], 0.0);
    return shift_for(pending_block(), side);
}

void Moments::read(bool complete, const Readout& out, int n_threads) const {
    const Slots slots = packed_slots(complete, n_threads);
    const std::int64_t tile_size = kPanelsPerTask * kPanelsPerTask * kernels_.nr * kernels_.nr;
    std::vector<AlignedBuffer<double>> tiles(std::max(n_threads, 1));
    parallel_for(static_cast<std::int64_t>(tasks_.size()), n_threads, [&](std::int64_t index, int thread) {
        const Task& task = tasks_[index];
        if (task.sum < 0) return read_weighted(task, slots, out.weighted[-1 - task.sum]);
        auto& tile = tiles[thread];
        if (tile.size() == 0) tile = AlignedBuffer<double>::uninitialised(static_cast<std::size_t>(tile_size));
        const bool is_self = task.sum < sides();
        read_part(task, slots, tile.data(), is_self ? out.products[task.sum] : out.cross[task.sum - sides()]);
    });
    std::copy(norms_.begin(), norms_.end(), out.norms);
    const bool with_pending = slots.n > n_packed_;
    if (with_pending) add_norm_products(n_packed_, n_pending_, out.norms);
    for (std::size_t side = 0; side < out.rounding.size(); ++side) {
        std::copy(rounding_[side].begin(), rounding_[side].end(), out.rounding[side]);
        if (with_pending) add_rounding(static_cast<int>(side), n_packed_, n_pending_, out.rounding[side]);
    }
}

// A task's part of its sum, by way of a tile in L2 where what is packed is added to it.
void Moments::read_part(const Task& task, Slots slots, double* tile, double* out) const {
    const Sum& sum = sums_[task.sum];
    const std::int64_t rows = config_.widths[sum.left], cols = config_.widths[sum.right], nr = kernels_.nr;
    const bool mirrored = task.sum < sides();
    const bool diagonal = is_diagonal(task.sum);
    const std::int64_t top = task.p0 * nr, height = diagonal ? 1 : (task.p1 - task.p0) * nr;
    const std::int64_t bottom = std::min(rows, top + height);
    const std::int64_t left = task.q0 * nr, width = (task.q1 - task.q0) * nr, right = std::min(cols, left + width);
    if (sum.values.size() == 0)
        std::fill_n(tile, height * width, 0.0);
    else
        for (std::int64_t i = 0; i < height; ++i)
            std::copy_n(sum.values.data() + (top + i) * sum.cols + left, width, tile + i * width);
    run_task(task, slots, tile, width);
    if (diagonal) {
        std::copy_n(tile, right - left, out + left);
        return;
    }
    for (std::int64_t i = top; i < bottom; ++i) {
        const std::int64_t first = mirrored ? std::max(i, left) : left;  // only the upper triangle is kept up
        if (first < right)
            std::copy_n(tile + (i - top) * width + (first - left), right - first, out + i * cols + first);
    }
    if (!mirrored) return;
    constexpr std::int64_t kStep = 8;  // a cache line each way
    for (std::int64_t j0 = left; j0 < right; j0 += kStep)
        for (std::int64_t i0 = top; i0 < std::min(bottom, j0 + kStep); i0 += kStep)
            for (std::int64_t j = j0; j < std::min(right, j0 + kStep); ++j)
                for (std::int64_t i = i0; i < std::min({bottom, i0 + kStep, j}); ++i)
                    out[j * cols + i] = tile[(i - top) * width + (j - left)];
}

void Moments::read_weighted(const Task& task, Slots slots, double* out) const {
    const int side = -1 - task.sum;
    const std::int64_t width = config_.widths[side];
    auto values = AlignedBuffer<double>::uninitialised(weighted_[side].size());
    std::copy_n(weighted_[side].data(), values.size(), values.data());
    run_task(task, slots, values.data(), padded(side));
    for (std::int64_t w = 0; w < 1 + sides(); ++w)
        std::copy_n(values.data() + w * padded(side), width, out + w * width);
}

void Moments::restore(std::int64_t n_blocks, const std::vector<std::vector<double>>& shifts) {
    n_blocks_ = n_blocks;
    n_packed_ = 0;
    shift_ = shifts;
    tail_is_packed_ = false;
}

void Moments::write_sum(int index, const double* in) {
    Sum& sum = sums_[index];
    const std::int64_t cols = config_.widths[sum.right];
    sum.values = AlignedBuffer<double>(static_cast<std::size_t>(sum.rows * sum.cols));
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

void Moments::write_rounding(int side, const double* in) {
    std::copy_n(in, config_.widths[side], rounding_[side].begin());
}

void Moments::write_pending(std::int64_t n_rows, const std::vector<const double*>& rows) {
    n_pending_ = n_rows;
    tail_is_packed_ = false;
    for (int side = 0; side < sides(); ++side) {
        pending_[side] = AlignedBuffer<double>::uninitialised(kBlockRows * config_.widths[side]);
        std::copy_n(rows[side], n_rows * config_.widths[side], pending_[side].data());
    }
}

}  // namespace repsim
