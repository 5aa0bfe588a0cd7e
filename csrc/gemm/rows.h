// Sums over rows, and products of rows, that are read once and in place.
#pragma once

#include "gemm/pack.h"

namespace repsim {
namespace REPSIM_ISA {

// Element j of a row that is stored as T; rows need not be aligned.
template <class T>
inline double element(const char* row, std::int64_t j) {
    T value;
    std::memcpy(&value, row + j * static_cast<std::int64_t>(sizeof value), sizeof value);
    return static_cast<double>(value);
}

// Elements [begin, width) of four rows, one after the other.
template <class T>
inline void add_four(const char* row, std::int64_t stride, std::int64_t begin, std::int64_t width, double* sums) {
    const char *a = row, *b = a + stride, *c = b + stride, *d = c + stride;
    for (std::int64_t j = begin; j < width; ++j)
        sums[j] = (((sums[j] + element<T>(a, j)) + element<T>(b, j)) + element<T>(c, j)) + element<T>(d, j);
}

// The same in vectors, as far as they go, while the four rows from `ahead` on are fetched. Compilers shuffle floats
// before they widen them, which takes a fifth longer.
template <class T>
inline std::int64_t add_four_in_vectors([[maybe_unused]] const char* row, [[maybe_unused]] const char* ahead,
                                        [[maybe_unused]] std::int64_t stride, [[maybe_unused]] std::int64_t width,
                                        [[maybe_unused]] double* sums) {
    std::int64_t j = 0;
#if REPSIM_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == sizeof(float)) {
        const auto eight = [&](std::int64_t r) {
            const __m256 floats = _mm256_loadu_ps(reinterpret_cast<const float*>(row + r * stride) + j);
            return _mm512_maskz_cvtps_pd(0xff, floats);  // of GCC 12, _mm512_cvtps_pd warns of an unset value
        };
        for (; j + 8 <= width; j += 8) {
            for (std::int64_t r = 0; r < 4; ++r)
                __builtin_prefetch(reinterpret_cast<const float*>(ahead + r * stride) + j, 0, 0);
            _mm512_storeu_pd(sums + j, _mm512_loadu_pd(sums + j) + eight(0) + eight(1) + eight(2) + eight(3));
        }
    }
#endif
    return j;
}

// Four rows at a time, so that the sums are loaded and stored a quarter as often.
template <class T>
void add_stored_rows(const RowsArgs& args, double* sums) {
    std::int64_t r = 0;
    for (; r + 4 <= args.n_rows; r += 4) {
        const char* row = args.rows + r * args.row_stride;
        const char* ahead = r + 8 <= args.n_rows ? row + 4 * args.row_stride : row;  // there may be no more memory
        const std::int64_t done = add_four_in_vectors<T>(row, ahead, args.row_stride, args.width, sums);
        add_four<T>(row, args.row_stride, done, args.width, sums);
    }
    for (; r < args.n_rows; ++r)
        for (std::int64_t j = 0; j < args.width; ++j) sums[j] += element<T>(args.rows + r * args.row_stride, j);
}

inline void add_rows(const RowsArgs& args, double* sums, double* workspace) {
    if (args.dtype == DType::f32) return add_stored_rows<float>(args, sums);
    if (args.dtype == DType::f64) return add_stored_rows<double>(args, sums);
    for (std::int64_t r = 0; r < args.n_rows; ++r) {
        convert_row(args.rows + r * args.row_stride, args.dtype, args.width, workspace);
        for (std::int64_t j = 0; j < args.width; ++j) sums[j] += workspace[j];
    }
}

template <class Read>
inline void dot_row(std::int64_t width, const double* towards, double* dot, double* square, Read read) {
    double with[kLanes] = {}, own[kLanes] = {};
    const auto step = [&](std::int64_t j, int l) {
        const double x = read(j);
        with[l] += x * towards[j];
        own[l] += x * x;
    };
    std::int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
        for (int l = 0; l < kLanes; ++l) step(j + l, l);
    for (int l = 0; j < width; ++j, ++l) step(j, l);
    *dot = fold(with);
    *square = fold(own);
}

inline void dot_rows(const RowsArgs& args, const double* towards, double* dots, double* squares, double* workspace) {
    for (std::int64_t r = 0; r < args.n_rows; ++r) {
        const char* row = args.rows + r * args.row_stride;
        const auto each = [&](auto read) { dot_row(args.width, towards, dots + r, squares + r, read); };
        if (args.dtype == DType::f32) {
            each([row](std::int64_t j) { return element<float>(row, j); });
        } else if (args.dtype == DType::f64) {
            each([row](std::int64_t j) { return element<double>(row, j); });
        } else {
            convert_row(row, args.dtype, args.width, workspace);
            each([workspace](std::int64_t j) { return workspace[j]; });
        }
    }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
