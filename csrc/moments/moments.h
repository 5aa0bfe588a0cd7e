// Streaming shifted moments of a set of representations over the same rows, and of chosen pairs among them.
//
// With u_i = t(x_i) - c, where t is the row transform and c is near the mean of the first block, the state is plain sums:
//     n,  U = sum u,  R = sum u u^T,  per pair sum u v^T,
//     with a = |u|^2, b = |v|^2:  sum a,  sum a b,  sum a v   (what debiased CKA and squared distances need).
// Rows are cut into blocks at multiples of kBlockRows from the start of the stream. Each sum receives one float64
// addition per block, in order, whatever the chunks, threads or memory layout were: the bits are the same.
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
    Rows rows = Rows::raw;
    Precision precision = Precision::fp64;
};

class Moments {
  public:
    static constexpr std::int64_t kBlockRows = 256;

    Moments(MomentsConfig config, Isa isa);

    // One chunk of each representation, with equal rows. The caller has checked shapes and finiteness.
    void update(const std::vector<MatrixView>& chunk, int n_threads);

    const MomentsConfig& config() const { return config_; }
    Isa isa() const { return isa_; }
    std::int64_t n_samples() const { return n_blocks_ * kBlockRows + n_pending_; }

    // --- reading. `complete` includes the rows that do not yet fill a block; without it, the bare state (for saving).
    std::vector<double> shift(int side) const;                                   // c
    void read_self(int side, bool complete, double* out, int n_threads) const;   // R, width x width
    void read_cross(int pair, bool complete, double* out, int n_threads) const;  // width_x x width_y
    void read_weighted(int side, bool complete,
                       double* out) const;              // (1 + sides) x width: sum u, then sum a_s u per side s
    void read_norms(bool complete, double* out) const;  // (1 + sides) x sides: sum a_t, then sum a_s a_t
    const std::vector<double>& pending(int side) const { return pending_[side]; }  // n_pending x width, not transformed
    std::int64_t n_pending() const { return n_pending_; }
    bool has_shift() const { return n_blocks_ > 0; }

    // --- writing back what was read with complete = false.
    void restore(std::int64_t n_blocks, const std::vector<std::vector<double>>& shifts);
    void write_self(int side, const double* in);
    void write_cross(int pair, const double* in);
    void write_weighted(int side, const double* in);
    void write_norms(const double* in);
    void write_pending(std::int64_t n_rows, const std::vector<const double*>& rows);

  private:
    static constexpr std::int64_t kPanelsPerTask = 4;  // of each side

    struct Sum {  // a padded (rows x cols) float64 accumulator: left representation x right representation
        int left, right;
        std::int64_t rows, cols;
        AlignedBuffer<double> values;
    };
    struct Task {  // panels [p0, p1) of the left side against [q0, q1) of the right, or the weights of one side
        int sum;   // index in sums_, or -1 - side for the weighted sums
        std::int64_t p0, p1, q0, q1;
    };
    struct Block {  // where kBlockRows (or fewer) rows of each representation are
        std::vector<MatrixView> rows;
        std::int64_t n_rows;
    };
    struct Packed {  // room for several packed blocks
        std::int64_t n_blocks = 0;
        std::vector<AlignedBuffer<char>> panels;  // per side, [block][panel][row][nr]
        AlignedBuffer<double> squared_norms;      // [side][block][row]
        AlignedBuffer<char> weights;              // [block][row][weight]: 1, then |u|^2 of each side
    };
    std::int64_t padded(int side) const { return (config_.widths[side] + kernels_.nr - 1) / kernels_.nr * kernels_.nr; }
    int sides() const { return static_cast<int>(config_.widths.size()); }
    char* panel(Packed& packed, int side, std::int64_t block, std::int64_t panel_index) const;
    const char* panel(const Packed& packed, int side, std::int64_t block, std::int64_t panel_index) const;
    Packed make_packed(std::int64_t n_blocks) const;
    void plan_tasks();
    std::vector<double> shift_for(const Block& block, int side) const;
    void pack(const std::vector<Block>& blocks, const std::vector<std::vector<double>>& shifts, Packed& packed,
              int n_threads) const;
    void add_norm_products(const std::vector<Block>& blocks, const Packed& packed, double* norms) const;
    // `out`: where the task's part of its sum begins.
    void run_task(const Task& task, const std::vector<Block>& blocks, const Packed& packed, double* out,
                  std::int64_t out_stride) const;
    void consume(const std::vector<Block>& blocks, int n_threads);
    Block pending_block() const;
    void stash(const std::vector<MatrixView>& chunk, std::int64_t begin, std::int64_t end);
    // The pending rows as a last, short block under the shift in force, packed where blocks are; when first asked for.
    const Packed& tail(int n_threads) const;
    void read_sum(int index, bool complete, double* out, int n_threads) const;
    void write_sum(int index, const double* in);

    MomentsConfig config_;
    Isa isa_;
    const Kernels& kernels_;
    std::int64_t n_weights_;                       // 1 + sides, padded to mr
    std::vector<Sum> sums_;                        // selfs first, then pairs
    std::vector<AlignedBuffer<double>> weighted_;  // per side, n_weights x padded width
    std::vector<double> norms_;                    // (1 + sides) x sides
    std::vector<std::vector<double>> shift_;
    std::vector<Task> tasks_;
    std::int64_t n_blocks_ = 0;
    std::vector<std::vector<double>> pending_;
    std::int64_t n_pending_ = 0;
    mutable Packed packed_;
    mutable bool tail_is_packed_ = false;
};

}  // namespace repsim
