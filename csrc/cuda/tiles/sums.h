// Sums over pairs of rows, kept per pair of row blocks: what correlations of RDMs, kernels and resampling are made of.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda/lanes.h"
#include "cuda/launch.h"
#include "cuda/tiles/layer.h"
#include "cuda/tiles/products.h"

namespace repsim::cuda {

// Rows [0, n) cut at block boundaries and at multiples of a number of rows, columns likewise, so that a pair of
// segments lies in one pair of blocks. Addresses are of device memory.
struct Segments {
    const std::int64_t *row_begin = nullptr, *col_begin = nullptr;  // first rows, and n
    const std::int64_t *rows_of_cut = nullptr,
                       *cols_of_cut = nullptr;  // first segment of each multiple, and their number
    const std::int64_t *rows_of_block = nullptr, *cols_of_block = nullptr;  // ... of each block
    std::vector<std::int64_t> of_tile_row;       // first segment of each row of tiles, and their number
    std::vector<std::int64_t> block_of_segment;  // of rows
    std::int64_t n_col_segments = 0, n_blocks = 0;
};

// Sums of v, v^2 and v_i v_j over pairs r < s, v less its layer's origin. A task is a row of tiles. Partial sums have a
// fixed place for each pair of segments and are added in a fixed order: results are bit-identical from run to run.
class PairSums {
  public:
    struct Memory {                 // in device memory, zeroed by the caller
        double* sums = nullptr;     // [2 layers + pairs][n_blocks][n_blocks]: v of each layer, v^2 of each, products
        double* partial = nullptr;  // [2 layers + pairs][segments of a row of tiles][n_segments]
        double* rows = nullptr;     // [layers][n]: sum over s != r of v_rs; null if not needed, as the next two
        double* row_partial = nullptr;  // [layers][n_strips][tile_rows]
        double* col_partial = nullptr;  // [layers][tile_rows / kStrip][n_strips * kStrip]
    };

    // lanes: that many tiles are in work at a time; layer.tile then holds as many tiles, one after another.
    // fused: by the kernel of fused.h, where every layer is in one pair. Segments then are cut as it says; else rows
    // and columns have the same cuts, at multiples of kStrip.
    PairSums(SweepShape shape, std::vector<PairLayer> layers, std::vector<std::pair<int, int>> pairs, Segments segments,
             Memory memory, const std::string& blas, int lanes, bool fused);

    std::int64_t n_tasks() const { return shape_.n_tile_rows(); }
    void run(std::int64_t task, cudaStream_t stream);

  private:
    template <class Real>
    void run_typed(std::int64_t task, cudaStream_t stream);
    template <class Real>
    void add_tile(std::int64_t task, std::int64_t col, std::size_t lane, cudaStream_t stream);
    void add_fused(std::int64_t task, cudaStream_t stream);
    void fold(std::int64_t task, cudaStream_t stream);
    double* partial(std::int64_t array) const {
        return memory_.partial + array * partial_rows_ * segments_.n_col_segments;
    }
    std::int64_t n_arrays() const { return static_cast<std::int64_t>(2 * layers_.size() + pairs_.size()); }
    std::int64_t n_strips() const { return (shape_.n_right + kStrip - 1) / kStrip; }

    SweepShape shape_;
    std::vector<PairLayer> layers_;
    std::vector<std::pair<int, int>> pairs_;
    std::vector<int> first_pair_;  // of each layer: the one that also makes the layer's own sums; -1: none
    Segments segments_;
    std::int64_t partial_rows_ = 0;
    Memory memory_;
    bool fused_;
    Lanes lanes_;
    std::vector<Products> products_;  // of each lane
};

}  // namespace repsim::cuda
