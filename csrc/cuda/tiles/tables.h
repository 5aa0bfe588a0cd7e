// Other reductions of tiles: the distances themselves, their histograms, and the nearest rows of each row.
//
// A task is a row of tiles. layer.tile holds one tile; counts are integers, so their atomic additions commute.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda/launch.h"
#include "cuda/tiles/layer.h"
#include "cuda/tiles/products.h"

namespace repsim::cuda {

// Tiles of every layer, in rows of tiles; what is done with them is in the classes below.
class TileRows {
  public:
    TileRows(SweepShape shape, std::vector<PairLayer> layers, const std::string& blas)
        : shape_(shape), layers_(std::move(layers)), products_(blas) {}
    std::int64_t n_tasks() const { return shape_.n_tile_rows(); }

  protected:
    // Symmetric sweeps begin at the diagonal.
    std::int64_t first_col(std::int64_t task) const {
        return shape_.symmetric ? task * shape_.tile_rows / shape_.tile_cols : 0;
    }
    SweepShape shape_;
    std::vector<PairLayer> layers_;
    Products products_;
};

// The distances of a row of tiles: condensed in the order (0,1), (0,2), ..., (1,2), ... where the sweep is symmetric,
// from the row's first pair on, else [tile_rows][n_right].
class PairDistances : public TileRows {
  public:
    using TileRows::TileRows;
    void run(std::int64_t task, void* out, cudaStream_t stream);

  private:
    template <class Real>
    void run_typed(std::int64_t task, void* out, cudaStream_t stream);
};

// counts[l][bin] of each layer, or counts[p][bin_i][bin_j] of each pair of layers.
class PairHistograms : public TileRows {
  public:
    PairHistograms(SweepShape shape, std::vector<PairLayer> layers, std::vector<std::pair<int, int>> pairs,
                   const std::string& blas, std::uint64_t* counts)
        : TileRows(shape, std::move(layers), blas), pairs_(std::move(pairs)), counts_(counts) {}
    void run(std::int64_t task, cudaStream_t stream);

  private:
    template <class Real>
    void run_typed(std::int64_t task, cudaStream_t stream);

    std::vector<std::pair<int, int>> pairs_;
    std::uint64_t* counts_;
};

// The k nearest columns of each row, ascending (dot: largest first), ties by lower index.
class PairNeighbours : public TileRows {
  public:
    // without_self: rows and columns are the same rows. values and indices: [n_left rounded up to whole tiles][k],
    // values filled with infinity (of the tile's type), indices with kNoNeighbour; values of dot products are negated.
    PairNeighbours(SweepShape shape, PairLayer layer, const std::string& blas, bool without_self, int k, void* values,
                   std::int32_t* indices)
        : TileRows(shape, {layer}, blas), without_self_(without_self), k_(k), values_(values), indices_(indices) {}
    void run(std::int64_t task, cudaStream_t stream);

  private:
    template <class Real>
    void run_typed(std::int64_t task, cudaStream_t stream);

    bool without_self_;
    int k_;
    void* values_;
    std::int32_t* indices_;
};
constexpr std::int32_t kNoNeighbour = 0x7fffffff;
constexpr int kMostNeighbours = 512;  // the lists of a block of threads fit into shared memory

}  // namespace repsim::cuda
