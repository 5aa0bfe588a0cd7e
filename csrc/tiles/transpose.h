// Rows into a panel: gemm/pack.h's arithmetic (float64 on a row, rounded once), samples side by side.
#pragma once

#include "gemm/pack.h"
#include "tiles/kernels.h"

namespace repsim {
namespace REPSIM_ISA {

// rounded = row - shift in T, in one walk with the terms of what was rounded: what the products see.
template <bool shifted, class T>
void round_row(const double* row, const double* shift, std::int64_t width, T* rounded, double (&terms)[n_row_terms]) {
    double squares[kLanes] = {}, sums[kLanes] = {}, magnitudes[kLanes] = {};
    const auto take = [&](std::int64_t k, int l) {
        const T single = static_cast<T>(shifted ? row[k] - shift[k] : row[k]);
        const double value = static_cast<double>(single);
        rounded[k] = single;
        squares[l] += value * value;
        sums[l] += value;
        magnitudes[l] += __builtin_fabs(value);
    };
    std::int64_t k = 0;
    for (; k + kLanes <= width; k += kLanes)
        for (int l = 0; l < kLanes; ++l) take(k + l, l);
    for (int l = 0; k < width; ++k, ++l) take(k, l);
    terms[half_square] = 0.5 * fold(squares);
    terms[plain_sum] = fold(sums);
    terms[magnitude] = fold(magnitudes);
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
            T* rounded = staging + r * stride;
            double terms[n_row_terms] = {};
            if (first + r < args.n_rows) {
                read_row(args.rows + (first + r) * args.row_stride, args.dtype, width, args.transform, args.scratch);
                args.shift == nullptr ? round_row<false>(args.scratch, args.shift, width, rounded, terms)
                                      : round_row<true>(args.scratch, args.shift, width, rounded, terms);
            } else {
                std::memset(rounded, 0, width * sizeof(T));
            }
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
