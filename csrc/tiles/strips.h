// What the reductions do with strips of a tile: map entries to float64, then sum them in a fixed order.
#pragma once

#include "tiles/kernels.h"
#include "tiles/vector_math.h"

namespace repsim {
namespace REPSIM_ISA {

// clip(floor((value - low) * scale), 0, last): the one definition, for tables and histograms alike.
inline std::int32_t bin_of(double value, double low, double scale, double last) {
    double bin = (value - low) * scale;
    bin = bin > 0 ? bin : 0;
    bin = bin < last ? bin : last;
    return static_cast<std::int32_t>(bin);
}

template <class T>
void bin_strip(const void* values, std::int64_t count, const BinArgs& bins, std::int32_t* out) {
    const T* in = static_cast<const T*>(values);
    const double low = bins.low, scale = bins.scale, last = static_cast<double>(bins.bins - 1);
    for (std::int64_t i = 0; i < count; ++i) out[i] = bin_of(static_cast<double>(in[i]), low, scale, last);
}

// Few values pass, so runs are tested as a whole first.
template <class T, bool one_limit>
std::int64_t select_by(const T* values, const T* limits, std::int64_t count, std::int32_t* out) {
    constexpr std::int64_t kTested = 4 * Tile<T>::lanes;
    const T limit = *limits;
    std::int64_t n_selected = 0;
    for (std::int64_t begin = 0; begin < count; begin += kTested) {
        const std::int64_t end = begin + kTested < count ? begin + kTested : count;
        if (end - begin == kTested) {
            typename Bits<T>::type any = 0;
            for (std::int64_t i = begin; i < begin + kTested; ++i)
                any |= values[i] <= (one_limit ? limit : limits[i]) ? -1 : 0;
            if (any == 0) continue;
        }
        for (std::int64_t i = begin; i < end; ++i)
            if (values[i] <= (one_limit ? limit : limits[i])) out[n_selected++] = static_cast<std::int32_t>(i);
    }
    return n_selected;
}

template <class T>
std::int64_t select_strip(const void* values, const void* limits, bool one_limit, std::int64_t count,
                          std::int32_t* out) {
    const T *in = static_cast<const T*>(values), *upper = static_cast<const T*>(limits);
    return one_limit ? select_by<T, true>(in, upper, count, out) : select_by<T, false>(in, upper, count, out);
}

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
        case MapKind::expm1: {
            const T gamma = static_cast<T>(map.gamma);
            for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<double>(expm1_minus(gamma * in[i])) - origin;
            break;
        }
        case MapKind::table: {
            const double low = map.low, scale = map.scale, last = static_cast<double>(map.bins - 1);
            const float* table = map.table;
            for (std::int64_t i = 0; i < count; ++i)
                out[i] = static_cast<double>(table[bin_of(static_cast<double>(in[i]), low, scale, last)]) - origin;
            break;
        }
    }
}

typedef double Doubles __attribute__((vector_size(REPSIM_VECTOR_BYTES)));
typedef double UnalignedDoubles __attribute__((vector_size(REPSIM_VECTOR_BYTES), aligned(8)));
constexpr int kDoubles = REPSIM_VECTOR_BYTES / 8;

inline double fold_lanes(const Doubles& x) {
    double lane[kDoubles];
    __builtin_memcpy(lane, &x, sizeof x);
    for (int width = kDoubles / 2; width > 0; width /= 2)
        for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
    return lane[0];
}

inline double sum_strip(const double* x, std::int64_t count) {
    Doubles a = {}, b = {};
    double rest = 0;
    std::int64_t i = 0;
    for (; i + 2 * kDoubles <= count; i += 2 * kDoubles) {
        a += *reinterpret_cast<const UnalignedDoubles*>(x + i);
        b += *reinterpret_cast<const UnalignedDoubles*>(x + i + kDoubles);
    }
    for (; i < count; ++i) rest += x[i];
    return fold_lanes(a + b) + rest;
}

// One strip against a few: it is loaded once, and the sums stay in registers.
template <int n>
void dot_few(const double* x, const double* const* others, std::int64_t count, double* out) {
    Doubles a[n] = {}, b[n] = {};
    for (std::int64_t i = 0; i < count; i += 2 * kDoubles) {
        const Doubles low = *reinterpret_cast<const Doubles*>(x + i);
        const Doubles high = *reinterpret_cast<const Doubles*>(x + i + kDoubles);
#pragma GCC unroll 8
        for (int m = 0; m < n; ++m) {
            a[m] += low * *reinterpret_cast<const Doubles*>(others[m] + i);
            b[m] += high * *reinterpret_cast<const Doubles*>(others[m] + i + kDoubles);
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < n; ++m) out[m] = fold_lanes(a[m] + b[m]);
}

inline void dot_strips(const double* x, const double* const* others, int n_others, std::int64_t count, double* out) {
    static_assert(kMostDots == 6 && kStripStep % (2 * kDoubles) == 0);
    switch (n_others) {
        case 1: return dot_few<1>(x, others, count, out);
        case 2: return dot_few<2>(x, others, count, out);
        case 3: return dot_few<3>(x, others, count, out);
        case 4: return dot_few<4>(x, others, count, out);
        case 5: return dot_few<5>(x, others, count, out);
        default: return dot_few<6>(x, others, count, out);
    }
}

inline void add_strip(const double* x, std::int64_t count, double* out) {
    for (std::int64_t i = 0; i < count; ++i) out[i] += x[i];
}

}  // namespace REPSIM_ISA
}  // namespace repsim
