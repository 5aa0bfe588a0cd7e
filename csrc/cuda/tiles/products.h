// Tiles before the epilogue: inner products by cuBLAS where the program has it loaded, else by our own kernel, and what
// is no product (manhattan, chebyshev) always by our own kernel.
#pragma once

#include <cstdint>
#include <string>

#include "cuda/launch.h"
#include "cuda/tiles/layer.h"

namespace repsim::cuda {

class Blas;  // cuBLAS, loaded from a library at run time: nothing links to it

class Products {
  public:
    // library: file name of a cuBLAS that the process can load; empty: our own kernel does everything. lane: work of
    // different lanes may overlap.
    explicit Products(const std::string& library, int lane = 0);

    // layer.tile <- products of rows [row, row + tile_rows) and [col, col + tile_cols): row-major, all of the tile.
    void make(const PairLayer& layer, const SweepShape& shape, std::int64_t row, std::int64_t col, cudaStream_t stream);

  private:
    Blas* blas_;
};

}  // namespace repsim::cuda
