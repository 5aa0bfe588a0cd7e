// What the sums are so far, with the rows that do not fill a block yet; and sums that were saved, taken over.
#include <algorithm>

#include "core/thread_pool.h"
#include "moments/moments.h"

namespace repsim {
namespace {

constexpr std::int64_t kRowsPerCopyTask = 32;

}  // namespace

const Moments::Packed& Moments::tail() const {
    if (!tail_is_current_) {
        tail_ = make_packed(1);
        pack(
            {pending_block()},
            [&] {
                std::vector<std::vector<double>> shifts;
                for (int side = 0; side < sides(); ++side) shifts.push_back(shift(side));
                return shifts;
            }(),
            tail_, 1);
        tail_is_current_ = true;
    }
    return tail_;
}

std::vector<double> Moments::shift(int side) const {
    if (has_shift()) return shift_[side];
    if (n_pending_ == 0) return std::vector<double>(config_.widths[side], 0.0);
    return shift_for(pending_block(), side);
}

void Moments::read_sum(int index, bool complete, double* out, int n_threads) const {
    const Sum& sum = sums_[index];
    const std::int64_t rows = config_.widths[sum.left], cols = config_.widths[sum.right];
    AlignedBuffer<double> with_tail(complete && n_pending_ > 0 ? sum.values.size() : 0);
    const double* values = sum.values.data();
    if (with_tail.size() > 0) {
        const std::int64_t strips = (sum.rows + kRowsPerCopyTask - 1) / kRowsPerCopyTask;
        parallel_for(strips, n_threads, [&](std::int64_t strip, int) {
            const std::int64_t begin = strip * kRowsPerCopyTask, end = std::min(sum.rows, begin + kRowsPerCopyTask);
            std::copy_n(values + begin * sum.cols, (end - begin) * sum.cols, with_tail.data() + begin * sum.cols);
        });
        std::vector<const Task*> tasks;
        for (const Task& task : tasks_)
            if (task.sum == index) tasks.push_back(&task);
        const Packed& packed = tail();
        const std::vector<Block> block{pending_block()};
        parallel_for(static_cast<std::int64_t>(tasks.size()), n_threads,
                     [&](std::int64_t task, int) { run_task(*tasks[task], block, packed, with_tail.data()); });
        values = with_tail.data();
    }
    parallel_for((rows + kRowsPerCopyTask - 1) / kRowsPerCopyTask, n_threads, [&](std::int64_t strip, int) {
        const std::int64_t begin = strip * kRowsPerCopyTask, end = std::min(rows, begin + kRowsPerCopyTask);
        if (index >= sides()) {
            for (std::int64_t i = begin; i < end; ++i) std::copy_n(values + i * sum.cols, cols, out + i * cols);
            return;
        }
        // Only the upper triangle is kept up. What lies below is read in tiles that both sides of the mirror hold in L1.
        for (std::int64_t tile = 0; tile < end; tile += kRowsPerCopyTask)
            for (std::int64_t i = begin; i < end; ++i)
                for (std::int64_t j = tile; j < std::min(i, tile + kRowsPerCopyTask); ++j)
                    out[i * cols + j] = values[j * sum.cols + i];
        for (std::int64_t i = begin; i < end; ++i) std::copy_n(values + i * sum.cols + i, cols - i, out + i * cols + i);
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
        run_task({-1 - side, 0, 0, 0, padded(side) / kernels_.nr}, {pending_block()}, tail(), values.data());
    const std::int64_t width = config_.widths[side];
    for (std::int64_t w = 0; w < 1 + sides(); ++w)
        std::copy_n(values.data() + w * padded(side), width, out + w * width);
}

void Moments::read_norms(bool complete, double* out) const {
    std::copy(norms_.begin(), norms_.end(), out);
    if (complete && n_pending_ > 0) add_norm_products({pending_block()}, tail(), out);
}

void Moments::restore(std::int64_t n_blocks, const std::vector<std::vector<double>>& shifts) {
    n_blocks_ = n_blocks;
    shift_ = shifts;
    tail_is_current_ = false;
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
    tail_is_current_ = false;
    for (int side = 0; side < sides(); ++side)
        pending_[side].assign(rows[side], rows[side] + n_rows * config_.widths[side]);
}

}  // namespace repsim
