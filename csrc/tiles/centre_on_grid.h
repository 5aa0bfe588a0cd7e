// The shift of raw rows: the median of each feature, rounded to a grid, so that subtracting it is exact for integers and
// half-precision numbers. pyrepsim/backends/reference_pairwise.py has the same in NumPy, with the reasons.
#pragma once

#include "tiles/kernels.h"
#include "tiles/vector_math.h"

namespace repsim {
namespace REPSIM_ISA {

typedef double Columns __attribute__((vector_size(REPSIM_VECTOR_BYTES)));
typedef double UnalignedColumns __attribute__((vector_size(REPSIM_VECTOR_BYTES), aligned(8)));
constexpr int kColumns = REPSIM_VECTOR_BYTES / 8;
static_assert(kColumnsAtOnce % kColumns == 0);

// Sorts each lane of n vectors by Batcher's merge exchange (Knuth, volume 3, algorithm 5.2.2 M): no branch depends on
// the numbers.
inline void sort_lanes(Columns* x, std::int64_t n) {
    std::int64_t top = 1;
    while (2 * top < n) top *= 2;
    for (std::int64_t p = top; p > 0; p /= 2) {
        std::int64_t r = 0, distance = p;
        for (std::int64_t q = top;; q /= 2) {
            for (std::int64_t begin = r; begin + distance < n; begin += 2 * p) {
                const std::int64_t end = begin + p < n - distance ? begin + p : n - distance;
                for (std::int64_t i = begin; i < end; ++i) {
                    const Columns a = x[i], b = x[i + distance];
                    x[i] = b < a ? b : a;
                    x[i + distance] = b < a ? a : b;
                }
            }
            if (q == p) break;
            distance = q - p;
            r = p;
        }
    }
}

inline double spread_of_flat(const double* column, std::int64_t stride, std::int64_t n) {
    double mean = 0, squares = 0;
    for (std::int64_t r = 0; r < n; ++r) mean += column[r * stride];
    mean /= static_cast<double>(n);
    for (std::int64_t r = 0; r < n; ++r) {
        const double difference = column[r * stride] - mean;
        squares += difference * difference;
    }
    return __builtin_sqrt(squares / static_cast<double>(n));
}

// 1/32 to 1/16 of a spread, a power of two.
inline double grid_of(double spread) { return __builtin_ldexp(1.0, __builtin_ilogb(spread) - 4); }

// kernels.h has the arguments.
inline void centre_on_grid(const double* rows, std::int64_t stride, std::int64_t n, std::int64_t width, double* columns,
                           double* out) {
    Columns* const x = reinterpret_cast<Columns*>(columns);
    for (std::int64_t k0 = 0; k0 < width; k0 += kColumns) {
        for (std::int64_t r = 0; r < n; ++r) x[r] = *reinterpret_cast<const UnalignedColumns*>(rows + r * stride + k0);
        sort_lanes(x, n);
        const std::int64_t end = width - k0 < kColumns ? width - k0 : kColumns;
        for (std::int64_t l = 0; l < end; ++l) {
            const double least = x[0][l], most = x[n - 1][l];
            const double centre = 0.5 * x[(n - 1) / 2][l] + 0.5 * x[n / 2][l];
            double spread = x[n - 1 - n / 4][l] - x[n / 4][l];
            if (spread == 0) spread = spread_of_flat(rows + k0 + l, stride, n);
            double rounded = centre;
            if (spread > 0 && spread <= 0x1.fffffffffffffp1023) {
                const double grid = grid_of(spread);
                if (__builtin_fabs(centre) < grid * 0x1p52) rounded = __builtin_rint(centre / grid) * grid;
            }
            out[k0 + l] = least == most ? least : rounded;
        }
    }
}

}  // namespace REPSIM_ISA
}  // namespace repsim
