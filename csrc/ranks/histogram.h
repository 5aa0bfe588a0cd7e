// Histograms of tile entries: of each layer, and joint ones of layer pairs. The bin of an entry is that of the table
// map of SumSweep, computed by the same function, so that the ranks from a histogram belong to the entries that were
// counted.
#pragma once

#include <utility>
#include <vector>

#include "ranks/counts.h"
#include "tiles/tiles.h"

namespace repsim {

// One layer's bins over [low, high); entries outside fall into the first or the last.
BinArgs equal_bins(double low, double high, std::int64_t bins);

class HistogramSweep : public Sweep {
  public:
    // bins: one per layer, all with the same number.
    HistogramSweep(std::vector<PanelsPtr> layers, Metric metric, std::vector<BinArgs> bins);

    // [layer][bin], over the pairs of rows r < s
    const std::vector<std::uint64_t>& counts() { return counts_.total(); }
    std::int64_t layers() const { return n_layers(); }
    std::int64_t bins() const { return bins_.front().bins; }

  protected:
    void prepare(int n_threads) override { counts_.prepare(n_threads); }
    void reduce(const Task& task, const std::vector<TileView>& bank, int worker) override;

  private:
    std::vector<BinArgs> bins_;
    CountTables counts_;
};

class JointHistogramSweep : public Sweep {
  public:
    JointHistogramSweep(std::vector<PanelsPtr> layers, std::vector<std::pair<std::int64_t, std::int64_t>> pairs,
                        Metric metric, std::vector<BinArgs> bins);

    // [pair (a, b)][bin of a][bin of b]
    const std::vector<std::uint64_t>& counts() { return counts_.total(); }
    std::int64_t pairs() const { return static_cast<std::int64_t>(pairs_.size()); }
    std::int64_t bins() const { return bins_.front().bins; }

  protected:
    void prepare(int n_threads) override;
    void reduce(const Task& task, const std::vector<TileView>& bank, int worker) override;

  private:
    std::vector<std::pair<std::int64_t, std::int64_t>> pairs_;
    std::vector<BinArgs> bins_;
    CountTables counts_;
    std::vector<std::vector<std::int32_t>> strips_;  // [worker][layer][kTileCols]
};

}  // namespace repsim
