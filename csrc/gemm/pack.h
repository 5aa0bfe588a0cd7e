// Convert, transform, shift, pack: what turns a row of a shard into panels, in cache, in one pass.
//
// A packed value is t(x) - c in float64, rounded once to the precision of the products: the shift is subtracted before
// anything is lost, and the result does not depend on whether a row came from a float16 shard or from staging.
#pragma once

#include <cstdint>

#include "convert/widen.h"
#include "gemm/micro_kernel.h"

namespace repsim {
namespace REPSIM_ISA {

// Sums over a row run in 16 fixed lanes, so that the compiler may vectorise them without re-ordering.
constexpr int kLanes = 16;

inline double fold(const double (&lane)[kLanes]) {
    double total = 0;
    for (int l = 0; l < kLanes; ++l) total += lane[l];
    return total;
}

inline double sum(const double* row, std::int64_t width) {
    double lane[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += row[j + l];
    for (int l = 0; j < width; ++j, ++l) lane[l] += row[j];
    return fold(lane);
}

inline double sum_of_squares(const double* row, std::int64_t width) {
    double lane[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += row[j + l] * row[j + l];
    for (int l = 0; j < width; ++j, ++l) lane[l] += row[j] * row[j];
    return fold(lane);
}

inline double subtract_mean(double* row, std::int64_t width) {
    const double mean = sum(row, width) / static_cast<double>(width);
    for (std::int64_t j = 0; j < width; ++j) row[j] -= mean;
    return mean;
}

// Multiplies by a power of two, so that the largest magnitude is near 1.
inline void scale_near_one(double* row, std::int64_t width) {
    double largest = 0;
    for (std::int64_t j = 0; j < width; ++j) largest = __builtin_fmax(largest, __builtin_fabs(row[j]));
    const int exponent = largest > 0 ? -__builtin_ilogb(largest) : 0;                 // up to 1074 for denormal rows
    const double near_one = __builtin_ldexp(1.0, exponent < 1000 ? exponent : 1000);  // 2^1024 is infinite
    for (std::int64_t j = 0; j < width; ++j) row[j] *= near_one;
}

inline RowSize read_row(const char* row, DType dtype, std::int64_t width, RowTransform transform, double* out) {
    convert_row(row, dtype, width, out);
    if (transform == RowTransform::raw) return {};
    const double centre = transform == RowTransform::unit_centred ? subtract_mean(out, width) : 0.0;
    double norm_sq = sum_of_squares(out, width);
    const RowSize size{centre, __builtin_sqrt(norm_sq)};
    if (!(norm_sq > 1e-280 && norm_sq < 1e280)) {  // sums or squares over- or underflow: once more, near 1
        convert_row(row, dtype, width, out);
        scale_near_one(out, width);
        if (transform == RowTransform::unit_centred) subtract_mean(out, width);
        norm_sq = sum_of_squares(out, width);
    }
    const double scale = 1.0 / __builtin_sqrt(norm_sq);
    for (std::int64_t j = 0; j < width; ++j) out[j] *= scale;
    return size;
}

// u = row - shift rounded to T; returns |u|^2 of what was rounded, in float64.
template <class From, class T>
double subtract(const From* row, const From* shift, std::int64_t width, T* out) {
    for (std::int64_t j = 0; j < width; ++j) out[j] = static_cast<T>(row[j] - shift[j]);
    double lane[kLanes] = {};
    std::int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes)
        for (int l = 0; l < kLanes; ++l) lane[l] += static_cast<double>(out[j + l]) * static_cast<double>(out[j + l]);
    for (int l = 0; j < width; ++j, ++l) lane[l] += static_cast<double>(out[j]) * static_cast<double>(out[j]);
    return fold(lane);
}

// Whether rows can be shifted in float32 with the result of a subtraction in float64 rounded to float32: they and the
// shift must be float32 numbers, whose double rounding is harmless because 53 >= 2 * 24 + 2. Fills `single`.
inline bool shift_in_single(const PackArgs& args, float* single) {
    if (args.transform != RowTransform::raw || args.dtype == DType::f64) return false;
    bool exact = true;
    for (std::int64_t j = 0; j < args.width; ++j) {
        single[j] = static_cast<float>(args.shift[j]);
        exact &= static_cast<double>(single[j]) == args.shift[j];
    }
    return exact;
}

template <class T>
void pack(const PackArgs& args) {
    constexpr int nr = Tile<T>::nr;
    const std::int64_t width = args.width;
    char* const workspace = static_cast<char*>(args.workspace);
    T* const packed = reinterpret_cast<T*>(workspace);
    double* const row = reinterpret_cast<double*>(workspace + 8 * width);
    float* const single = reinterpret_cast<float*>(row);
    float* const single_shift = single + width;
    const bool in_single = sizeof(T) == sizeof(float) && shift_in_single(args, single_shift);
    const bool as_stored = args.transform == RowTransform::raw && holds_doubles(args.rows, args.row_stride, args.dtype);
    for (std::int64_t r = 0; r < args.n_rows; ++r) {
        const char* source = args.rows + r * args.row_stride;
        if (in_single) {
            convert_row(source, args.dtype, width, single);
            args.squared_norms[r] = subtract(single, single_shift, width, packed);
        } else if (as_stored) {
            args.squared_norms[r] = subtract(reinterpret_cast<const double*>(source), args.shift, width, packed);
        } else {
            read_row(source, args.dtype, width, args.transform, row);
            args.squared_norms[r] = subtract(row, args.shift, width, packed);
        }
        T* out = static_cast<T*>(args.panels) + (args.first_row + r) * nr;
        std::int64_t j = 0;
        for (; j + nr <= width; j += nr, out += kBlockRows * nr) std::memcpy(out, packed + j, nr * sizeof(T));
        if (j < width)
            for (int l = 0; l < nr; ++l) out[l] = j + l < width ? packed[j + l] : T(0);
    }
}

template <class T>
void pack_weights(const double* squared_norms, std::int64_t stride, int n_sides, std::int64_t n_rows,
                  std::int64_t n_weights, void* out) {
    T* row = static_cast<T*>(out);
    for (std::int64_t r = 0; r < n_rows; ++r, row += n_weights) {
        row[0] = T(1);
        for (int side = 0; side < n_sides; ++side) row[1 + side] = static_cast<T>(squared_norms[side * stride + r]);
        for (std::int64_t weight = 1 + n_sides; weight < n_weights; ++weight) row[weight] = T(0);
    }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
