// The rows of one layer, converted, transformed, shifted and transposed once: what tiles are made from.
//
// Rows are cut into blocks. A block is padded with zero rows to whole panels of `nr` samples, [feature][nr], so that
// an mr-wide slice of a panel is the left operand of a micro-tile and a whole panel its right operand.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/isa.h"
#include "core/matrix_view.h"
#include "gemm/kernels.h"
#include "tiles/kernels.h"
#include "tiles/metric.h"

namespace repsim {

class Panels {
  public:
    // shift: empty or one float64 per feature, subtracted after the transform. blocks: row boundaries from 0 to n.
    Panels(const MatrixView& rows, RowTransform transform, const std::vector<double>& shift, TilePrecision precision,
           std::vector<std::int64_t> blocks, int n_threads, Isa isa);

    std::int64_t n_rows() const { return blocks_.back(); }
    std::int64_t n_features() const { return n_features_; }
    std::int64_t n_blocks() const { return static_cast<std::int64_t>(blocks_.size()) - 1; }
    const std::vector<std::int64_t>& blocks() const { return blocks_; }
    TilePrecision precision() const { return precision_; }
    Isa isa() const { return isa_; }
    const PairKernels& kernels() const { return kernels_; }
    std::int64_t nbytes() const;

    // Where row `row` of block `block` (counted within the block, a multiple of nr) begins.
    PackedRows at(std::int64_t block, std::int64_t row) const;

  private:
    void pack_panel(const MatrixView& rows, RowTransform transform, const double* shift, std::int64_t block,
                    std::int64_t panel);
    void check_range(RowTransform transform) const;

    std::vector<std::int64_t> blocks_;
    std::int64_t n_features_;
    TilePrecision precision_;
    Isa isa_;
    const PairKernels& kernels_;
    std::vector<std::int64_t> first_panel_;  // of each block, and one past the last
    AlignedBuffer<char> values_;             // [panel][feature][nr]
    AlignedBuffer<char> terms_;              // [term][padded row], in the tile's type: see RowTerm
    std::int64_t n_padded_ = 0;
    std::int64_t term_bytes_ = 0;
};

using PanelsPtr = std::shared_ptr<const Panels>;

// The shift of rows as they are: the medians of their features, rounded (tiles/centre_on_grid.h). out: one float64 per
// feature.
void centre_on_grid(const MatrixView& rows, Isa isa, double* out);

// Mean of the transformed rows in float64, summed in a fixed order: the shift of rows of length 1.
std::vector<double> mean_row(const MatrixView& rows, RowTransform transform, int n_threads, Isa isa);

// The products of each row with `towards` and with itself, in float64.
void dot_rows(const MatrixView& rows, const double* towards, int n_threads, Isa isa, double* dots, double* squares);

}  // namespace repsim
