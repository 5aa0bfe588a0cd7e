#include "moments/moments.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/thread_pool.h"

namespace repsim {
namespace {

// Blocks multiplied together: fewer barriers, and fewer passes over the sums, which are in memory when there are
// many pairs. The blocks of a pair, whose tasks follow each other, should fit in the last-level cache.
constexpr std::int64_t kMaxBlocksTogether = 8;
constexpr std::int64_t kPairBytes = 16 << 20;

void add_row(const double* __restrict row, std::int64_t width, double share, double* __restrict low,
             double* __restrict high, double* __restrict mean) {
    for (std::int64_t j = 0; j < width; ++j) {
        low[j] = row[j] < low[j] ? row[j] : low[j];
        high[j] = row[j] > high[j] ? row[j] : high[j];
        mean[j] += row[j] * share;
    }
}

void add_squares(const double* __restrict row, const double* __restrict mean, std::int64_t width,
                 double* __restrict variance) {
    for (std::int64_t j = 0; j < width; ++j) variance[j] += (row[j] - mean[j]) * (row[j] - mean[j]);
}

}  // namespace

Moments::Moments(MomentsConfig config, Isa isa)
    : config_(std::move(config)), isa_(isa), kernels_(kernels(isa, config_.precision)) {
    REPSIM_CHECK(!config_.widths.empty(), "moments need at least one representation");
    for (std::int64_t width : config_.widths)
        REPSIM_CHECK(width > 0, "a representation needs at least one feature: got " << width);
    for (auto [left, right] : config_.pairs)
        REPSIM_CHECK(
            left >= 0 && left < sides() && right >= 0 && right < sides(),
            "a pair names two of the " << sides() << " representations: got (" << left << ", " << right << ")");
    n_weights_ = (1 + sides() + kernels_.mr - 1) / kernels_.mr * kernels_.mr;
    auto add_sum = [&](int left, int right) {
        const bool diagonal = is_diagonal(static_cast<int>(sums_.size()));
        const std::int64_t rows = diagonal ? 1 : padded(left), cols = padded(right);
        sums_.push_back(Sum{left, right, rows, cols, {}});
    };
    for (int side = 0; side < sides(); ++side) add_sum(side, side);
    for (auto [left, right] : config_.pairs) add_sum(left, right);
    for (int side = 0; side < sides(); ++side)
        weighted_.emplace_back(static_cast<std::size_t>(n_weights_ * padded(side)));
    norms_.assign(static_cast<std::size_t>((1 + sides()) * sides()), 0.0);
    if (rounds_to_integers())
        for (std::int64_t width : config_.widths) rounding_.emplace_back(width, 0.0);
    shift_.resize(config_.widths.size());
    pending_.resize(config_.widths.size());
    packed_ = make_packed(1);  // of few rows there is no full block
    plan_tasks();
}

// Before the first block is packed.
void Moments::make_slots() {
    std::int64_t widest = 0;
    for (int side = 0; side < sides(); ++side) widest = std::max(widest, padded(side));
    const std::int64_t block_of_pair = 2 * widest * kernels_.column_bytes;
    packed_ = make_packed(1 + std::clamp<std::int64_t>(kPairBytes / block_of_pair, 1, kMaxBlocksTogether));
}

Moments::Packed Moments::make_packed(std::int64_t n_slots) const {
    Packed packed;
    packed.n_slots = n_slots;
    const auto uninitialised = [](std::int64_t bytes) {
        return AlignedBuffer<char>::uninitialised(static_cast<std::size_t>(bytes));
    };
    for (int side = 0; side < sides(); ++side)
        packed.panels.push_back(uninitialised(n_slots * padded(side) * kernels_.column_bytes));
    packed.squared_norms =
        AlignedBuffer<double>::uninitialised(static_cast<std::size_t>(n_slots * kBlockRows * sides()));
    packed.weights = uninitialised(n_slots * n_weights_ * kernels_.column_bytes);
    return packed;
}

void Moments::plan_tasks() {
    for (int index = 0; index < static_cast<int>(sums_.size()); ++index) {
        const Sum& sum = sums_[index];
        const std::int64_t left = sum.rows / kernels_.nr, right = sum.cols / kernels_.nr;
        const bool triangle = index < sides();  // a self product is symmetric: panels on and above the diagonal
        if (is_diagonal(index)) tasks_.push_back({index, 0, 0, 0, right});
        for (std::int64_t p = 0; p < left; p += kPanelsPerTask)
            for (std::int64_t q = triangle ? p : 0; q < right; q += kPanelsPerTask)
                tasks_.push_back(
                    {index, p, std::min(left, p + kPanelsPerTask), q, std::min(right, q + kPanelsPerTask)});
    }
    for (int side = 0; side < sides(); ++side) tasks_.push_back({-1 - side, 0, 0, 0, padded(side) / kernels_.nr});
    // The longest first: threads then end together. A part of a sum belongs to one task, so their order changes no
    // bits.
    std::stable_sort(tasks_.begin(), tasks_.end(), [&](const Task& one, const Task& other) {
        const auto products = [&](const Task& task) {
            const std::int64_t all = (task.p1 - task.p0) * (task.q1 - task.q0);
            return task.sum < 0 ? 0 : task.sum < sides() && task.p0 == task.q0 ? all / 2 : all;
        };
        return products(one) > products(other);
    });
}

char* Moments::panel(int side, std::int64_t slot, std::int64_t panel_index) const {
    return packed_.panels[side].data() + (slot * padded(side) + panel_index * kernels_.nr) * kernels_.column_bytes;
}

char* Moments::weights(std::int64_t slot) const {
    return packed_.weights.data() + slot * n_weights_ * kernels_.column_bytes;
}

double* Moments::squared_norms(int side, std::int64_t slot) const {
    return packed_.squared_norms.data() + (side * packed_.n_slots + slot) * kBlockRows;
}

// Near the mean of the block, on a grid of sd / 16 to sd / 32 of each feature (the value itself where it is constant).
// The full mean would be no better and can be worse: its low bits, the same in every row, leave the same rounding
// error in every product, and a sum of 10^6 of those is a bias. On the grid, products of half-precision rows are exact.
std::vector<double> Moments::shift_for(const Block& block, int side) const {
    const std::int64_t width = config_.widths[side];
    const double share = 1.0 / static_cast<double>(block.n_rows);
    const MatrixView& view = block.rows[side];
    const bool as_stored =
        config_.transform == RowTransform::raw && holds_doubles(view.row(0), view.row_stride, view.dtype);
    std::vector<double> converted(width), low, high, mean(width, 0.0), variance(width, 0.0);
    const auto each_row = [&](auto&& visit) {
        for (std::int64_t r = 0; r < block.n_rows; ++r) {
            if (as_stored) {
                visit(reinterpret_cast<const double*>(view.row(r)));
                continue;
            }
            kernels_.read_row(view.row(r), view.dtype, width, config_.transform, converted.data());
            visit(converted.data());
        }
    };
    each_row([&](const double* row) {
        if (low.empty()) low.assign(row, row + width), high = low;
        add_row(row, width, share, low.data(), high.data(), mean.data());
    });
    each_row([&](const double* row) { add_squares(row, mean.data(), width, variance.data()); });
    for (std::int64_t j = 0; j < width; ++j) {
        if (low[j] == high[j]) {
            mean[j] = low[j];
            continue;
        }
        const double sd = std::sqrt(variance[j] * share);
        if (!(sd > 0 && std::isfinite(sd))) continue;  // the squares of the differences under- or overflow
        const double grid = std::ldexp(1.0, std::ilogb(sd) - 4);
        if (std::abs(mean[j]) < grid * 0x1p52) mean[j] = std::nearbyint(mean[j] / grid) * grid;
    }
    return mean;
}

void Moments::pack(const std::vector<Block>& blocks, const std::vector<std::vector<double>>& shifts,
                   std::int64_t first_slot, int n_threads) const {
    const std::int64_t pieces = kBlockRows / kernels_.rows_together;
    const std::int64_t n_blocks = static_cast<std::int64_t>(blocks.size());
    parallel_for(n_blocks * sides() * pieces, n_threads, [&](std::int64_t task, int) {
        const std::int64_t b = task / (sides() * pieces), piece = task % pieces;
        const int side = static_cast<int>(task / pieces % sides());
        const Block& block = blocks[b];
        const std::int64_t begin = piece * kernels_.rows_together;
        const std::int64_t end = std::min(block.n_rows, begin + kernels_.rows_together);
        if (begin >= end) return;
        const MatrixView& view = block.rows[side];
        auto workspace = AlignedBuffer<char>::uninitialised(
            static_cast<std::size_t>((view.cols + kernels_.nr) * kernels_.workspace_bytes));
        PackArgs args{};
        args.rows = view.row(begin);
        args.row_stride = view.row_stride;
        args.dtype = view.dtype;
        args.n_rows = end - begin;
        args.width = view.cols;
        args.transform = config_.transform;
        args.shift = shifts[side].data();
        args.workspace = workspace.data();
        args.panels = panel(side, first_slot + b, 0);
        args.first_row = begin;
        args.squared_norms = squared_norms(side, first_slot + b) + begin;
        kernels_.pack(args);
    });
    for (std::int64_t b = 0; b < n_blocks; ++b)
        kernels_.pack_weights(squared_norms(0, first_slot + b), packed_.n_slots * kBlockRows, sides(), blocks[b].n_rows,
                              n_weights_, weights(first_slot + b));
}

void Moments::add_norm_products(std::int64_t slot, std::int64_t n_rows, double* norms) const {
    for (int t = 0; t < sides(); ++t) {
        const double* of_t = squared_norms(t, slot);
        double total = 0;
        for (std::int64_t r = 0; r < n_rows; ++r) total += of_t[r];
        norms[t] += total;
        for (int s = 0; s < sides(); ++s) {
            const double* of_s = squared_norms(s, slot);
            double product = 0;
            for (std::int64_t r = 0; r < n_rows; ++r) product += of_s[r] * of_t[r];
            norms[(1 + s) * sides() + t] += product;
        }
    }
}

void Moments::add_rounding(int side, std::int64_t slot, std::int64_t n_rows, double* rounding) const {
    std::vector<double> largest(config_.widths[side]);
    kernels_.rounding(panel(side, slot, 0), config_.widths[side], largest.data());
    for (std::size_t j = 0; j < largest.size(); ++j)
        rounding[j] += static_cast<double>(n_rows) * (largest[j] * largest[j]);
}

void Moments::run_task(const Task& task, Slots slots, double* out, std::int64_t out_stride) const {
    const std::int64_t nr = kernels_.nr;
    MultiplyArgs args{};
    args.out_stride = out_stride;
    for (std::int64_t b = 0; b < slots.n; ++b) {
        args.n_rows = slots.rows(b);
        if (task.sum < 0) {
            const int side = -1 - task.sum;
            args.left = weights(b);
            args.left_stride = args.left_width = n_weights_;
            for (std::int64_t q = task.q0; q < task.q1; ++q) {
                args.right = panel(side, b, q);
                args.right_width = std::min(nr, config_.widths[side] - q * nr);
                args.out = out + q * nr;
                kernels_.multiply(args);
            }
            continue;
        }
        const Sum& sum = sums_[task.sum];
        if (is_diagonal(task.sum)) {
            for (std::int64_t q = task.q0; q < task.q1; ++q)
                kernels_.squares(panel(sum.right, b, q), args.n_rows, out + (q - task.q0) * nr);
            continue;
        }
        args.left_stride = nr;
        for (std::int64_t q = task.q0; q < task.q1; ++q) {
            args.right = panel(sum.right, b, q);
            args.right_width = std::min(nr, config_.widths[sum.right] - q * nr);
            const std::int64_t last = (task.sum < sides() ? std::min(task.p1, q + 1) : task.p1) - 1;
            for (std::int64_t p = task.p0; p <= last; ++p) {
                args.left = panel(sum.left, b, p);
                args.left_width = std::min(nr, filled(sum.left) - p * nr);
                args.out = out + (p - task.p0) * nr * out_stride + (q - task.q0) * nr;
                args.upper = task.sum < sides() && p == q;
                // Panels come in the order of their first use: the left ones with the first right one.
                args.ahead = nullptr;
                if (q == task.q0 && p < last) args.ahead = panel(sum.left, b, p + 1);
                if (p == last && q + 1 < task.q1) args.ahead = panel(sum.right, b, q + 1);
                if (p == last && q + 1 == task.q1 && b + 1 < slots.n) args.ahead = panel(sum.right, b + 1, task.q0);
                kernels_.multiply(args);
            }
        }
    }
}

// The blocks must fit in the free slots.
void Moments::take(const std::vector<Block>& blocks, int n_threads) {
    if (n_blocks_ == 0)
        parallel_for(sides(), n_threads,
                     [&](std::int64_t side, int) { shift_[side] = shift_for(blocks.front(), static_cast<int>(side)); });
    pack(blocks, shift_, n_packed_, n_threads);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        add_norm_products(n_packed_ + b, kBlockRows, norms_.data());
        for (int side = 0; rounds_to_integers() && side < sides(); ++side)
            add_rounding(side, n_packed_ + b, kBlockRows, rounding_[side].data());
    }
    n_packed_ += static_cast<std::int64_t>(blocks.size());
    n_blocks_ += static_cast<std::int64_t>(blocks.size());
}

void Moments::add_to_sums(int n_threads) {
    for (Sum& sum : sums_)
        if (sum.values.size() == 0) sum.values = AlignedBuffer<double>(static_cast<std::size_t>(sum.rows * sum.cols));
    parallel_for(static_cast<std::int64_t>(tasks_.size()), n_threads, [&](std::int64_t index, int) {
        const Task& task = tasks_[index];
        const Slots slots{n_packed_, kBlockRows};
        if (task.sum < 0) {
            const int side = -1 - task.sum;
            run_task(task, slots, weighted_[side].data(), padded(side));
        } else {
            Sum& sum = sums_[task.sum];
            run_task(task, slots, sum.values.data() + (task.p0 * sum.cols + task.q0) * kernels_.nr, sum.cols);
        }
    });
    n_packed_ = 0;
}

Moments::Block Moments::pending_block() const {
    Block block{{}, n_pending_};
    for (int side = 0; side < sides(); ++side) {
        const std::int64_t width = config_.widths[side], element = sizeof(double);
        block.rows.push_back({reinterpret_cast<const char*>(pending_[side].data()), DType::f64, n_pending_, width,
                              width * element, element});
    }
    return block;
}

void Moments::stash(const std::vector<MatrixView>& chunk, std::int64_t begin, std::int64_t end) {
    for (int side = 0; side < sides(); ++side) {
        const MatrixView& view = chunk[side];
        const std::int64_t width = view.cols, element = static_cast<std::int64_t>(size_of(view.dtype));
        if (pending_[side].size() == 0) pending_[side] = AlignedBuffer<double>::uninitialised(kBlockRows * width);
        double* out = pending_[side].data() + n_pending_ * width;
        std::vector<char> line(view.rows_are_contiguous() ? 0 : (end - begin) * width * element);
        if (!line.empty())  // gather column by column: in Fortran order these are runs
            for (std::int64_t j = 0; j < width; ++j)
                for (std::int64_t r = begin; r < end; ++r)
                    std::memcpy(line.data() + ((r - begin) * width + j) * element, view.row(r) + j * view.col_stride,
                                element);
        for (std::int64_t r = begin; r < end; ++r) {
            const char* row = line.empty() ? view.row(r) : line.data() + (r - begin) * width * element;
            kernels_.read_row(row, view.dtype, width, RowTransform::raw, out + (r - begin) * width);
        }
    }
    n_pending_ += end - begin;
}

void Moments::update(const std::vector<MatrixView>& chunk, int n_threads) {
    REPSIM_ASSERT(static_cast<int>(chunk.size()) == sides());
    tail_is_packed_ = false;
    const std::int64_t rows = chunk.front().rows;
    const bool contiguous =
        std::all_of(chunk.begin(), chunk.end(), [](const MatrixView& view) { return view.rows_are_contiguous(); });
    std::int64_t next = 0;
    if (block_slots() == 0 && n_pending_ + rows >= kBlockRows) make_slots();
    while (next < rows) {
        if (n_packed_ == block_slots() && n_packed_ > 0) add_to_sums(n_threads);
        if (n_pending_ == 0 && contiguous && rows - next >= kBlockRows) {  // straight from the chunk
            std::vector<Block> blocks(std::min((rows - next) / kBlockRows, block_slots() - n_packed_),
                                      Block{{}, kBlockRows});
            for (Block& block : blocks) {
                for (const MatrixView& view : chunk)
                    block.rows.push_back(
                        {view.row(next), view.dtype, kBlockRows, view.cols, view.row_stride, view.col_stride});
                next += kBlockRows;
            }
            take(blocks, n_threads);
            continue;
        }
        const std::int64_t end = std::min(rows, next + kBlockRows - n_pending_);
        stash(chunk, next, end);
        next = end;
        if (n_pending_ == kBlockRows) {
            take({pending_block()}, n_threads);
            n_pending_ = 0;
        }
    }
}

}  // namespace repsim
