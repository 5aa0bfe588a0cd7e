// The k nearest rows of each row, exact. Neighbours are ordered by (value, index), of which no two are equal, so the
// lists depend neither on threads nor on the order of tiles. Within one set of rows a tile serves both its sides.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "tiles/tiles.h"

namespace repsim {

struct Neighbour {
    double value;
    std::int64_t index;

    bool operator<(const Neighbour& other) const {
        return value < other.value || (value == other.value && index < other.index);
    }
};

// The common base of HeapSweep below and of ScreenedSweep (screened_sweep.h).
class NeighbourSweep : public Sweep {
  public:
    std::int64_t n_rows() const { return left(0).n_rows(); }
    std::int64_t k() const { return k_; }
    bool is_double() const { return left(0).kernels().tile_bytes == sizeof(double); }

    // (n_rows, k), nearest first, float64 or else float32. After all tasks.
    virtual void read(std::int64_t* indices, void* values) = 0;

  protected:
    // The nearest rows of y, or, y being null, the nearest other rows of x. The metric dot: the largest products.
    NeighbourSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, std::int64_t k);

  private:
    std::int64_t k_;
};

// Every entry of every tile is offered to the heaps of its rows.
class HeapSweep : public NeighbourSweep {
  public:
    HeapSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, std::int64_t k);
    void read(std::int64_t* indices, void* values) override;

  protected:
    void prepare(int n_threads) override;
    void reduce(const Task& task, const std::vector<TileView>& bank, int worker) override;

  private:
    struct Candidate {
        std::int64_t row;
        Neighbour neighbour;
    };
    struct Worker {
        std::vector<Candidate> for_rows, for_cols;
    };
    template <class T>
    void read_as(std::int64_t* indices, T* values) const;
    template <class T>
    void reduce_as(const Task& task, const TileView& tile, Worker& own);
    template <class T>
    void copy_limits(std::int64_t block, std::int64_t first, std::int64_t count, T* out);
    void offer(std::int64_t block, const std::vector<Candidate>& candidates);

    std::vector<Neighbour> heaps_;     // [row][k], the farthest on top
    std::vector<std::int64_t> sizes_;  // [row]
    std::vector<double> limits_;       // [row]: what is farther cannot enter; infinite until the heap is full
    std::unique_ptr<std::mutex[]> block_mutexes_;  // guard the three, by block of rows
    std::vector<Worker> workers_;
};

}  // namespace repsim
