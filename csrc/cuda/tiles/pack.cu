#include "cuda/tiles/pack.h"

#include <cmath>

#include "cuda/elements.h"

namespace repsim::cuda {
namespace {

constexpr int kThreads = 256, kRowsPerBlock = kThreads / 32;
constexpr int kTopExponent = 11;  // of the largest element of a row: 768 products of 2^24 are far from float32's end

#ifdef __CUDACC__
__device__ __forceinline__ f16 to_half(float x) {
    f16 half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(x));
    return half;
}
#else
// Round to nearest, ties to even; |x| < 65520.
inline f16 to_half(float x) {
    const unsigned word = __float_as_uint(x), sign = word >> 16 & 0x8000u, magnitude = word & 0x7fffffffu;
    if (magnitude < 0x38800000u)  // below 2^-14: a whole number of 2^-24
        return {static_cast<std::uint16_t>(sign | static_cast<unsigned>(std::nearbyint(std::fabs(x) * 16777216.0f)))};
    return {static_cast<std::uint16_t>(sign | ((magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13))};
}
#endif

__device__ __forceinline__ double sum_of_lanes(double x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(kAllLanes, x, step);
    return x;
}

__device__ __forceinline__ double largest_of_lanes(double x) {
    for (int step = 16; step > 0; step /= 2) x = fmax(x, __shfl_xor_sync(kAllLanes, x, step));
    return x;
}

template <PairPrecision precision>
__global__ void __launch_bounds__(kThreads)
    pack(const double* __restrict__ u, std::int64_t rows, int cols, PackTarget to) {
    const std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (r >= rows) return;
    const double* row = u + r * cols;
    double largest = 0;
    for (int k = lane; k < cols; k += 32) largest = fmax(largest, fabs(row[k]));
    largest = largest_of_lanes(largest);
    const int exponent = precision == PairPrecision::fp64 || largest == 0 ? 0 : ilogb(largest) - kTopExponent;
    const double scale = ldexp(1.0, exponent), inverse = ldexp(1.0, -exponent);
    double squares = 0;
    for (int k = lane; k < cols; k += 32) {
        double rounded = row[k];
        if (precision == PairPrecision::fp64) {
            static_cast<double*>(to.values)[r * to.stride + k] = rounded;
        } else if (precision == PairPrecision::fp32) {
            const float single = static_cast<float>(rounded);
            const float scaled = single * static_cast<float>(inverse);
            const f16 high = to_half(scaled), low = to_half(scaled - widen(high));
            static_cast<float*>(to.values)[r * to.stride + k] = single;
            f16* operand = static_cast<f16*>(to.operand) + r * 4 * to.stride + k;
            operand[0] = operand[2 * to.stride] = operand[3 * to.stride] = high;
            operand[to.stride] = low;
            rounded = single;
        } else {
            const f16 half = to_half(static_cast<float>(rounded * inverse));
            static_cast<f16*>(to.values)[r * to.stride + k] = half;
            rounded = static_cast<double>(widen(half)) * scale;
        }
        squares += rounded * rounded;
    }
    squares = sum_of_lanes(squares);
    if (lane != 0) return;
    if (precision == PairPrecision::fp64) {
        static_cast<double*>(to.half_squares)[r] = squares / 2;
        static_cast<double*>(to.scales)[r] = 1;
    } else {
        static_cast<float*>(to.half_squares)[r] = static_cast<float>(squares / 2);
        static_cast<float*>(to.scales)[r] = largest == 0 ? 0.0f : static_cast<float>(scale);
    }
}

}  // namespace

void pack_pairs(const double* u, std::int64_t rows, int cols, const PackTarget& target, cudaStream_t stream) {
    const auto kernel = target.precision == PairPrecision::fp64   ? pack<PairPrecision::fp64>
                        : target.precision == PairPrecision::fp32 ? pack<PairPrecision::fp32>
                                                                  : pack<PairPrecision::fast>;
    launch("pack_pairs", kernel, dim3(blocks_for(rows, kRowsPerBlock)), dim3(kThreads), 0, stream, u, rows, cols,
           target);
}

}  // namespace repsim::cuda
