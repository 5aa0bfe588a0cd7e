// Sums over the pairs of rows of L layers: what comparisons of whole dissimilarity matrices are made of.
//
// With v_l = map_l(tile entry of layer l) - origin_l, for each pair of blocks (i <= j), over pairs of rows r < s:
//     entries = count,  first[l] = sum v_l,  second[l] = sum v_l^2,  cross[p] = sum v_a v_b for the layer pair p = (a,
// b) and on request, over all s != r:  rows[l][r] = sum_s v_l(r, s). All float64, in an order that depends only on rows
// and blocks. They are plain sums, so weights of blocks give resamples.
#pragma once

#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tiles/tiles.h"

namespace repsim {

// A map with its table's memory.
struct EntryMap {
    MapArgs args;
    std::vector<float> table;
};

class SumSweep : public Sweep {
  public:
    SumSweep(std::vector<PanelsPtr> layers, std::vector<std::pair<std::int64_t, std::int64_t>> pairs, Metric metric,
             std::vector<EntryMap> maps, bool row_sums);

    std::int64_t n_blocks() const { return left(0).n_blocks(); }
    std::int64_t n_rows() const { return left(0).n_rows(); }
    std::int64_t layers() const { return n_layers(); }
    std::int64_t pairs() const { return static_cast<std::int64_t>(pairs_.size()); }
    bool has_row_sums() const { return row_sums_; }

    // [block i][block j], then [layer or pair][i][j], then [layer][row]; what no task has reached is zero.
    const std::vector<double>& entries() const { return entries_; }
    const std::vector<double>& first() const { return first_; }
    const std::vector<double>& second() const { return second_; }
    const std::vector<double>& cross() const { return cross_; }
    const std::vector<double>& rows() const { return rows_; }

  protected:
    void prepare(int n_threads) override;
    void begin_task(const Task& task, int worker) override;
    void reduce(const Task& task, const std::vector<TileView>& bank, int worker) override;
    void end_task(const Task& task, int worker) override;

  private:
    struct Worker {
        AlignedBuffer<double> strips;              // [layer][kStripRows * kTileCols]: rows of a tile, end to end
        std::vector<double> first, second, cross;  // of the current task
        std::vector<double> row_sums, col_sums;    // [layer][row of the block]
        double entries = 0;
    };
    // The sums of products that one layer's strip takes part in: with itself, and with the second layers of its pairs.
    struct Products {
        std::int64_t layer;
        std::vector<std::int64_t> others;
        std::vector<std::int64_t> pairs;  // of others[m]: where in cross, or kWithItself
    };
    static constexpr std::int64_t kWithItself = -1;
    void plan_products();
    void add_products(std::int64_t count, Worker& own) const;
    using Margins = std::pair<std::vector<double>, std::vector<double>>;
    void add_margins(const Task& task, const Margins& margins);

    std::vector<std::pair<std::int64_t, std::int64_t>> pairs_;
    std::vector<Products> products_;  // each of at most kMostDots
    std::vector<EntryMap> maps_;
    bool row_sums_;
    std::vector<double> entries_, first_, second_, cross_, rows_;
    std::vector<Worker> workers_;
    // Row sums gather contributions of many tasks: added in the order of tasks, whichever ends first.
    std::mutex margins_mutex_;
    std::map<std::int64_t, std::pair<Task, Margins>> waiting_;
    std::int64_t next_task_ = 0;
};

}  // namespace repsim
