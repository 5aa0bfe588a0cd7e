// The k nearest by screening: products of bfloat16 rows, twice as fast, say which entries may matter; only those are
// computed, to the same bits as the tile's. Where too many may, tasks that follow make float32 tiles instead.
#pragma once

#include <atomic>

#include "neighbours/candidates.h"
#include "neighbours/neighbours.h"
#include "neighbours/screen.h"

namespace repsim {

struct ScreenCounts {
    std::int64_t screened, unscreened;  // pairs of rows, by kind of tile
    std::int64_t hits;                  // pairs that a screened tile let through
    std::int64_t computed;              // entries that were computed one by one
};

class ScreenedSweep : public NeighbourSweep {
  public:
    // Throws unless can_screen(*x, metric).
    ScreenedSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, std::int64_t k);
    void read(std::int64_t* indices, void* values) override;
    ScreenCounts counts() const;

  protected:
    void prepare(int n_threads) override;
    void begin_task(const Task& task, int worker) override;
    TileView make(std::int64_t layer, const Task& task, const Place& at, const Next& next, void* out,
                  int worker) override;
    void reduce(const Task& task, const std::vector<TileView>& bank, int worker) override;
    void finish() override;

  private:
    struct Worker {
        bool screens = true;
        std::vector<Hit> hits;
    };
    bool too_many() const;
    void screen(const Task& task, const Place& at, const Next& next, void* out, Worker& own);
    void offer_tile(const Task& task, const TileView& tile);
    void copy_limits(std::int64_t block, std::int64_t first, std::int64_t count, float* out) const;
    bool has_no_limit(std::int64_t block, std::int64_t first, std::int64_t count) const;
    void compute(std::int64_t row, Candidate* list, std::int64_t count);
    const ScreenedRows& right_rows() const { return right_rows_ ? *right_rows_ : *left_rows_; }

    PanelsPtr x_, y_;
    const ScreenKernels* kernels_;
    ErrorShares errors_;
    std::unique_ptr<ScreenedRows> left_rows_, right_rows_;
    CandidateLists lists_;
    std::unique_ptr<std::mutex[]> block_mutexes_;  // guard lists, by block of rows
    std::vector<Worker> workers_;
    int n_threads_ = 1;
    std::atomic<std::int64_t> screened_{0}, unscreened_{0}, hits_{0}, computed_{0};
    std::vector<std::int64_t> indices_;  // (n_rows, k), once complete
    std::vector<float> values_;
};

// Whether screening is likely to be faster than float32 tiles.
bool screening_pays(const Panels& x, const Panels& y, Metric metric, std::int64_t k);

// For tests: bounds and float32 entries, each (n, n) with the diagonal left out, before the metric's last function.
void screening_bounds(const PanelsPtr& x, Metric metric, float* low, float* high, float* entry);

}  // namespace repsim
