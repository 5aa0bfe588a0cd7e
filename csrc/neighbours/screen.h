// Rows in bfloat16 in addition to their float32 panels, with the terms of the error bound: README.md, "Screening".
#pragma once

#include <vector>

#include "neighbours/screen_kernels.h"
#include "tiles/panels.h"

namespace repsim {

class ScreenedRows {
  public:
    ScreenedRows(PanelsPtr panels, Metric metric, int n_threads);

    // As Panels::at: pairs of features instead of features, ScreenTerm instead of RowTerm.
    PackedRows at(std::int64_t block, std::int64_t row) const;
    std::int64_t n_pairs() const { return (panels_->n_features() + 1) / 2; }

    // One row, of the whole set.
    struct Row {
        const float* values;
        float half_square;
    };
    Row row(std::int64_t row) const;

  private:
    PanelsPtr panels_;
    std::int64_t nr_;
    std::vector<std::int64_t> first_row_;  // of each block among padded rows
    std::vector<std::int64_t> places_;     // of each row among padded rows
    AlignedBuffer<std::uint32_t> pairs_;   // [panel][feature pair][nr]
    AlignedBuffer<float> rows_;            // [padded row][feature]
    AlignedBuffer<float> terms_[3];        // [padded row]
};

// Whether sweeps of this metric over these rows can be screened.
bool can_screen(const Panels& rows, Metric metric);

// Whether order is by the half squared distance, not by the product.
inline bool squares_count(Metric metric) { return metric != Metric::dot; }

ErrorShares error_shares(std::int64_t n_features, const ScreenKernels& kernels);

}  // namespace repsim
