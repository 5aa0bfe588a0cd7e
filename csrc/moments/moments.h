// Streaming shifted moments of a set of representations over the same rows, and of chosen pairs among them.
//
// With u_i = t(x_i) - c, where t is the row transform and c is near the mean of the first block, the state is plain
// sums:
//     n,  U = sum u,  R = sum u u^T,  per pair sum u v^T,
//     with a = |u|^2, b = |v|^2:  sum a,  sum a b,  sum a v   (what debiased CKA and squared distances need).
// Rows are cut into blocks at multiples of kBlockRows from the start of the stream. Each sum receives one float64
// addition per block, in order, whatever the chunks, threads or memory layout were: the bits are the same.
// Blocks are packed when they arrive, and multiplied when the buffer is full or when the sums are read. For few rows no
// sums are stored.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/matrix_view.h"
#include "gemm/kernels.h"

namespace repsim {

struct MomentsConfig {
    std::vector<std::int64_t> widths;        // features of each representation
    std::vector<std::pair<int, int>> pairs;  // which cross products to keep
    RowTransform transform = RowTransform::raw;
    Precision precision = Precision::fp64;
    bool diagonals = false;  // of each R only the diagonal: the variances of the features
};

class Moments {
  public:
    Moments(MomentsConfig config, Isa isa);

    // One chunk of each representation, with equal rows. The caller has checked shapes and finiteness.
    void update(const std::vector<MatrixView>& chunk, int n_threads);

    const MomentsConfig& config() const { return config_; }
    Isa isa() const { return isa_; }
    std::int64_t n_samples() const { return n_blocks_ * kBlockRows + n_pending_; }

    // Where the sums go when they are read: as State says in pyrepsim/moments/state.py.
    struct Readout {
        std::vector<double*> products;  // per side, width x width, or width where only diagonals are kept
        std::vector<double*> cross;     // per pair, width_x x width_y
        std::vector<double*> weighted;  // per side, (1 + sides) x width
        double* norms;                  // (1 + sides) x sides
        std::vector<double*> rounding;  // per side, width; empty where rows are not rounded to integers
    };
    // `complete` includes the rows that do not yet fill a block; without it, the bare state (for saving).
    void read(bool complete, const Readout& out, int n_threads) const;
    std::vector<double> shift(int side) const;                               // c
    const double* pending(int side) const { return pending_[side].data(); }  // n_pending x width, not transformed
    std::int64_t n_pending() const { return n_pending_; }
    bool has_shift() const { return n_blocks_ > 0; }
    bool rounds_to_integers() const { return kernels_.rounding != nullptr; }

    // --- writing back what was read with complete = false, into new moments.
    void restore(std::int64_t n_blocks, const std::vector<std::vector<double>>& shifts);
    void write_self(int side, const double* in);
    void write_cross(int pair, const double* in);
    void write_weighted(int side, const double* in);
    void write_norms(const double* in);
    void write_rounding(int side, const double* in);
    void write_pending(std::int64_t n_rows, const std::vector<const double*>& rows);

  private:
    static constexpr std::int64_t kPanelsPerTask = 4;  // of each side

    struct Sum {  // a padded (rows x cols) float64 accumulator: left representation x right representation
        int left, right;
        std::int64_t rows, cols;
        AlignedBuffer<double> values;  // empty while all are zero
    };
    struct Task {  // panels [p0, p1) of the left side against [q0, q1) of the right, or the weights of one side
        int sum;   // index in sums_, or -1 - side for the weighted sums
        std::int64_t p0, p1, q0, q1;
    };
    struct Block {  // where kBlockRows (or fewer) rows of each representation are
        std::vector<MatrixView> rows;
        std::int64_t n_rows;
    };
    struct Packed {  // blocks that are not in the sums yet, and one slot for the pending rows behind them
        std::int64_t n_slots = 0;
        std::vector<AlignedBuffer<char>> panels;  // per side, [slot][panel]
        AlignedBuffer<double> squared_norms;      // [side][slot][row]
        AlignedBuffer<char> weights;              // [slot], then row by row 1 and |u|^2 of each side
    };
    struct Slots {  // the first n slots, full except for the last
        std::int64_t n, last_rows;
        std::int64_t rows(std::int64_t slot) const { return slot + 1 == n ? last_rows : kBlockRows; }
    };
    std::int64_t padded(int side) const { return (config_.widths[side] + kernels_.nr - 1) / kernels_.nr * kernels_.nr; }
    // The columns of the packed rows of a side that may differ from zero, up to a whole micro-tile.
    std::int64_t filled(int side) const { return (config_.widths[side] + kernels_.mr - 1) / kernels_.mr * kernels_.mr; }
    // Whether a sum is that of a side with itself of which only the diagonal is kept: one row.
    bool is_diagonal(int sum) const { return config_.diagonals && sum < sides(); }
    std::int64_t block_slots() const { return packed_.n_slots - 1; }
    int sides() const { return static_cast<int>(config_.widths.size()); }
    char* panel(int side, std::int64_t slot, std::int64_t panel_index) const;
    char* weights(std::int64_t slot) const;
    double* squared_norms(int side, std::int64_t slot) const;
    Packed make_packed(std::int64_t n_slots) const;
    void make_slots();
    void plan_tasks();
    std::vector<double> shift_for(const Block& block, int side) const;
    void pack(const std::vector<Block>& blocks, const std::vector<std::vector<double>>& shifts, std::int64_t first_slot,
              int n_threads) const;
    void add_norm_products(std::int64_t slot, std::int64_t n_rows, double* norms) const;
    void add_rounding(int side, std::int64_t slot, std::int64_t n_rows, double* rounding) const;
    // `out`: where the task's part of its sum begins.
    void run_task(const Task& task, Slots slots, double* out, std::int64_t out_stride) const;
    void take(const std::vector<Block>& blocks, int n_threads);
    void add_to_sums(int n_threads);
    Block pending_block() const;
    void stash(const std::vector<MatrixView>& chunk, std::int64_t begin, std::int64_t end);
    // The blocks that are packed; the pending rows as a last, short one with the current shift, if they are wanted.
    Slots packed_slots(bool with_pending, int n_threads) const;
    void read_part(const Task& task, Slots slots, double* tile, double* out) const;
    void read_weighted(const Task& task, Slots slots, double* out) const;
    void write_sum(int index, const double* in);

    MomentsConfig config_;
    Isa isa_;
    const Kernels& kernels_;
    std::int64_t n_weights_;                       // 1 + sides, padded to mr
    std::vector<Sum> sums_;                        // selfs first, then pairs
    std::vector<AlignedBuffer<double>> weighted_;  // per side, n_weights x padded width
    std::vector<double> norms_;                    // (1 + sides) x sides
    std::vector<std::vector<double>> rounding_;    // per side, of each feature sum over rows of (largest error)^2
    std::vector<std::vector<double>> shift_;
    std::vector<Task> tasks_;
    std::int64_t n_blocks_ = 0;                   // of the stream
    std::int64_t n_packed_ = 0;                   // the last of them, that are not in the sums yet
    std::vector<AlignedBuffer<double>> pending_;  // a block of each side, allocated when first needed
    std::int64_t n_pending_ = 0;
    mutable Packed packed_;
    mutable bool tail_is_packed_ = false;
    mutable std::vector<std::vector<double>> tail_shift_;  // of the pending rows, where they are packed
};

}  // namespace repsim
