// What the reductions do with strips of a tile: map entries to float64, then sum them in a fixed order.
#pragma once

#include "pairwise/kernels.h"
#include "pairwise/vector_math.h"

namespace repsim {
namespace REPSIM_ISA {

template <class T>
void map_strip(const void* values, std::int64_t count, const MapArgs& map, double* out) {
    const T* in = static_cast<const T*>(values);
    const double origin = map.origin;
    switch (map.kind) {
        case MapKind::none:
            for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<double>(in[i]) - origin;
            break;
        case MapKind::rbf: {
            const T gamma = static_cast<T>(map.gamma);
            for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<double>(exp_minus(gamma * in[i])) - origin;
            break;
        }
        case MapKind::table: {
            const double low = map.low, scale = map.scale, last = static_cast<double>(map.bins - 1);
            const float* table = map.table;
            for (std::int64_t i = 0; i < count; ++i) {
                double bin = (static_cast<double>(in[i]) - low) * scale;
                bin = bin > 0 ? bin : 0;
                bin = bin < last ? bin : last;
                out[i] = static_cast<double>(table[static_cast<std::int32_t>(bin)]) - origin;
            }
            break;
        }
    }
}

constexpr int kSumLanes = 32;

inline double fold_lanes(double (&lane)[kSumLanes]) {
    for (int width = kSumLanes / 2; width > 0; width /= 2)
        for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
    return lane[0];
}

inline double sum_strip(const double* x, std::int64_t count) {
    double lane[kSumLanes] = {};
    std::int64_t i = 0;
    for (; i + kSumLanes <= count; i += kSumLanes)
        for (int l = 0; l < kSumLanes; ++l) lane[l] += x[i + l];
    for (int l = 0; i < count; ++i, ++l) lane[l] += x[i];
    return fold_lanes(lane);
}

inline double dot_strip(const double* x, const double* y, std::int64_t count) {
    double lane[kSumLanes] = {};
    std::int64_t i = 0;
    for (; i + kSumLanes <= count; i += kSumLanes)
        for (int l = 0; l < kSumLanes; ++l) lane[l] += x[i + l] * y[i + l];
    for (int l = 0; i < count; ++i, ++l) lane[l] += x[i] * y[i];
    return fold_lanes(lane);
}

inline void add_strip(const double* x, std::int64_t count, double* out) {
    for (std::int64_t i = 0; i < count; ++i) out[i] += x[i];
}

}  // namespace REPSIM_ISA
}  // namespace repsim
