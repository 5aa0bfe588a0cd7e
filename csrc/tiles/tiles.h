// Tiles of a pairwise matrix, made in cache and handed to a reduction: the matrix itself is never stored.
//
// A sweep visits every pair of rows once. Its tasks are pairs of blocks, (i <= j) within one set of rows, all (i, j)
// between two; a task walks over its tiles in a fixed order, and at each position makes the tile of every layer
// before the reduction sees them (the tile bank). Which thread runs a task, and how tasks are sliced, changes nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tiles/panels.h"

namespace repsim {

// values[r * stride + s], r < n_rows, s < n_cols, is the pair (first_row + r, first_col + s) of the whole matrix.
// On a diagonal tile (first_row == first_col, one set of rows) only entries with s > r hold anything.
struct TileView {
    const void* values;  // float or double: is_double
    bool is_double;
    bool diagonal;
    std::int64_t stride;
    std::int64_t first_row, n_rows, first_col, n_cols;

    template <class T>
    const T* row(std::int64_t r) const {
        return static_cast<const T*>(values) + r * stride;
    }
    std::int64_t first_valid(std::int64_t r) const { return diagonal ? r + 1 : 0; }  // entries [this, n_cols) of row r
};

// Tiles are at most this high and wide: two of their sides and the tile itself live in the second-level cache.
constexpr std::int64_t kTileRows = 192;
constexpr std::int64_t kTileCols = 192;

// Fills `out`, kTileRows x kTileCols elements of the tile's type on a 64-byte boundary, with the pairs of rows
// [row, row + n_rows) of block i of x and [col, col + n_cols) of block j of y; row and col are multiples of
// kTileRows and kTileCols within their blocks. `diagonal`: x is y, i == j, row == col. `next`: what to prefetch.
TileView make_tile(const Panels& x, std::int64_t i, std::int64_t row, std::int64_t n_rows,  //
                   const Panels& y, std::int64_t j, std::int64_t col, std::int64_t n_cols,  //
                   bool diagonal, Metric metric, const NextTile& next, void* out);

class Sweep {
  public:
    struct Task {
        std::int64_t index;
        std::int64_t i, j;  // blocks of the left and the right rows
    };

    // A tile's place within its task: rows and columns of the two blocks.
    struct Place {
        std::int64_t row, n_rows, col, n_cols;
        bool diagonal;
    };
    // The tile that will probably come after: for prefetches.
    struct Next {
        std::int64_t layer, i, row, j, col;
    };

    virtual ~Sweep() = default;
    std::int64_t n_tasks() const { return static_cast<std::int64_t>(tasks_.size()); }

    // Tasks [begin, end), each once: a sweep is complete when every task has been run.
    void run(std::int64_t begin, std::int64_t end, int n_threads);

  protected:
    // Pairs within the rows of each layer (right empty), or between left[l] and right[l].
    // Throws unless rows, blocks, precision and instruction set agree, and the metric suits the precision.
    Sweep(std::vector<PanelsPtr> left, std::vector<PanelsPtr> right, Metric metric);

    bool symmetric() const { return right_.empty(); }
    std::int64_t n_layers() const { return static_cast<std::int64_t>(left_.size()); }
    const Panels& left(std::int64_t layer) const { return *left_[layer]; }
    const Panels& right(std::int64_t layer) const { return symmetric() ? *left_[layer] : *right_[layer]; }
    Metric metric() const { return metric_; }
    bool complete() const;  // every task has been run

    // make(), by any metric
    TileView make_by(Metric metric, std::int64_t layer, const Task& task, const Place& at, const Next& next, void* out);

    // Called in this order, from worker threads unless stated otherwise. `worker` is in [0, n_threads), one at a time
    // each.
    virtual void prepare(int /*n_threads*/) {}  // by the caller of run, before anything else
    virtual void begin_task(const Task& /*task*/, int /*worker*/) {}
    virtual TileView make(std::int64_t layer, const Task& task, const Place& at, const Next& next, void* out,
                          int worker);
    virtual void reduce(const Task& task, const std::vector<TileView>& bank, int worker) = 0;  // one tile per layer
    virtual void end_task(const Task& /*task*/, int /*worker*/) {}
    virtual void finish() {}  // by the caller of run, after the last task of a run

  private:
    // `likely_next`: the task this worker will probably run after it, for prefetches.
    void run_task(const Task& task, const Task& likely_next, int worker, std::vector<AlignedBuffer<char>>& buffers);

    std::vector<PanelsPtr> left_, right_;
    Metric metric_;
    std::vector<Task> tasks_;
    std::vector<std::vector<AlignedBuffer<char>>> buffers_;  // [worker][layer], kept between runs
    std::vector<bool> done_;
};

}  // namespace repsim
