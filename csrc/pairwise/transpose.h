// Rows into a panel: gemm/pack.h's arithmetic (float64 on a row, rounded once), samples side by side.
#pragma once

#include "gemm/pack.h"
#include "pairwise/kernels.h"

namespace repsim {
namespace REPSIM_ISA {

inline double sum_of_magnitudes(const double* row, std::int64_t width) {
    double lane[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += __builtin_fabs(row[j + l]);
    for (int l = 0; j < width; ++j, ++l) lane[l] += __builtin_fabs(row[j]);
    return fold(lane);
}

template <class T>
void transpose(const TransposeArgs& args) {
    constexpr int nr = Tile<T>::nr;
    const std::int64_t width = args.n_features, stride = width + kStagingPad;
    T* staging = static_cast<T*>(args.staging);
    T* panel = static_cast<T*>(args.panel);
    for (std::int64_t first = 0; first < nr; first += kStagedRows) {
        const std::int64_t n_staged = nr - first < kStagedRows ? nr - first : kStagedRows;
        for (std::int64_t r = 0; r < n_staged; ++r) {
            double* row = args.scratch;
            T* rounded = staging + r * stride;
            if (first + r < args.n_rows) {
                read_row(args.rows + (first + r) * args.row_stride, args.dtype, width, args.transform, row);
                if (args.shift != nullptr)
                    for (std::int64_t k = 0; k < width; ++k) row[k] -= args.shift[k];
            } else {
                for (std::int64_t k = 0; k < width; ++k) row[k] = 0;
            }
            for (std::int64_t k = 0; k < width; ++k) rounded[k] = static_cast<T>(row[k]);
            // the terms of what the products see
            for (std::int64_t k = 0; k < width; ++k) row[k] = rounded[k];
            const double terms[n_row_terms] = {0.5 * sum_of_squares(row, width), sum(row, width),
                                               sum_of_magnitudes(row, width)};
            for (int t = 0; t < n_row_terms; ++t) static_cast<T*>(args.terms[t])[first + r] = static_cast<T>(terms[t]);
        }
        if (n_staged == kStagedRows) {
            for (std::int64_t k = 0; k < width; ++k)
#pragma GCC unroll 16
                for (std::int64_t r = 0; r < kStagedRows; ++r) panel[k * nr + first + r] = staging[r * stride + k];
        } else {
            for (std::int64_t k = 0; k < width; ++k)
                for (std::int64_t r = 0; r < n_staged; ++r) panel[k * nr + first + r] = staging[r * stride + k];
        }
    }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
