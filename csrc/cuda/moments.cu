#include "cuda/moments.h"

#include "cuda/elements.h"

namespace repsim::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kRowsPerBlock = kThreads / kWarp;  // a warp for each row

__device__ __forceinline__ double sum_of_lanes(double value) {
    for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
    return value;
}

__device__ __forceinline__ double largest_of_lanes(double value) {
    for (int step = kWarp / 2; step > 0; step /= 2) value = fmax(value, __shfl_xor_sync(kAllLanes, value, step));
    return value;
}

// A lane reads groups of four neighbours: with one load where rows begin at multiples of a group (`aligned`). Either
// way the same lane gets the same elements, so sums over a row do not depend on the layout or the element type.
constexpr int kGroup = 4;

template <bool aligned, class T, class F>
__device__ __forceinline__ void each_group(const T* row, std::int64_t cols, unsigned lane, F&& visit) {
#pragma unroll 2
    for (std::int64_t j = static_cast<std::int64_t>(lane) * kGroup; j < cols; j += kWarp * kGroup) {
        if constexpr (aligned) {
            visit(j, *reinterpret_cast<const Vector<T, kGroup>*>(row + j), kGroup);
        } else {
            const int count = cols - j < kGroup ? static_cast<int>(cols - j) : kGroup;
            Vector<T, kGroup> x{};
#pragma unroll
            for (int k = 0; k < kGroup; ++k)
                if (k < count) x.at[k] = row[j + k];
            visit(j, x, count);
        }
    }
}

template <class In, class Out, bool aligned>
__global__ void __launch_bounds__(kThreads)
    prepare(const In* in, std::int64_t rows, std::int64_t cols, std::int64_t stride, RowTransform transform,
            const double* __restrict__ shift, Out* __restrict__ out, double* __restrict__ norms) {
    const std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kWarp;
    const unsigned lane = threadIdx.x % kWarp;
    if (r >= rows) return;
    const In* row = in + r * stride;

    double near_one = 1, centre = 0, scale = 1;  // u = (x near_one - centre) scale - shift
    if (transform != RowTransform::raw) {
        auto total = [&](auto&& term) {
            double sum = 0;
            each_group<aligned>(row, cols, lane, [&](std::int64_t, const Vector<In, kGroup>& x, int count) {
#pragma unroll
                for (int k = 0; k < kGroup; ++k)
                    if (k < count) sum += term(static_cast<double>(widen(x.at[k])) * near_one);
            });
            return sum_of_lanes(sum);
        };
        double norm_sq = 0;
#pragma unroll 1  // one copy of the loops: registers are few
        for (bool scaled = false;; scaled = true) {
            if (transform == RowTransform::unit_centred)
                centre = total([](double x) { return x; }) / static_cast<double>(cols);
            norm_sq = total([&](double x) { return (x - centre) * (x - centre); });
            if (scaled || (norm_sq > 1e-280 && norm_sq < 1e280)) break;
            // sums or squares over- or underflow: once more, near 1
            double largest = 0;
            each_group<aligned>(row, cols, lane, [&](std::int64_t, const Vector<In, kGroup>& x, int count) {
#pragma unroll
                for (int k = 0; k < kGroup; ++k)
                    if (k < count) largest = fmax(largest, fabs(static_cast<double>(widen(x.at[k]))));
            });
            largest = largest_of_lanes(largest);
            near_one = largest > 0 ? ldexp(1.0, min(-ilogb(largest), 1000)) : 1.0;  // 2^1024 is infinite
        }
        scale = 1.0 / sqrt(norm_sq);
    }

    double total = 0;
    Out* to = out + r * cols;
    each_group<aligned>(row, cols, lane, [&](std::int64_t j, const Vector<In, kGroup>& x, int count) {
        Vector<Out, kGroup> u;
#pragma unroll
        for (int k = 0; k < kGroup; ++k) {
            if (k >= count) continue;
            const double v = (static_cast<double>(widen(x.at[k])) * near_one - centre) * scale - shift[j + k];
            total += v * v;
            u.at[k] = static_cast<Out>(v);
            if (!aligned) to[j + k] = u.at[k];
        }
        if (aligned) *reinterpret_cast<Vector<Out, kGroup>*>(to + j) = u;
    });
    total = sum_of_lanes(total);
    if (lane == 0) norms[r] = total;
}

template <class In, bool aligned>
__global__ void __launch_bounds__(kThreads)
    scan(const In* in, std::int64_t rows, std::int64_t cols, std::int64_t stride, unsigned long long* first_bad) {
    using Word = typename Bits<In>::type;
    const std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kWarp;
    const unsigned lane = threadIdx.x % kWarp;
    if (r >= rows) return;
    const Word* row = reinterpret_cast<const Word*>(in + r * stride);
    const Word first = cols > 0 ? row[0] : Word{0};

    bool zero = true, constant = true;
    unsigned long long bad = ~0ull;  // the first column of this lane that is not finite
    each_group<aligned>(row, cols, lane, [&](std::int64_t j, const Vector<Word, kGroup>& x, int count) {
#pragma unroll
        for (int k = 0; k < kGroup; ++k) {
            if (k >= count) continue;
            const Word word = x.at[k], magnitude = static_cast<Word>(word & static_cast<Word>(~Bits<In>::sign));
            const bool is_zero = magnitude == 0;
            zero = zero && is_zero;
            // zeros of either sign are equal; other numbers are equal when their bits are
            constant = constant && (word == first || (is_zero && (first & static_cast<Word>(~Bits<In>::sign)) == 0));
            if ((word & Bits<In>::exponent) == Bits<In>::exponent)
                bad = min(bad, static_cast<unsigned long long>(j + k));
        }
    });
    zero = __all_sync(kAllLanes, zero);
    constant = __all_sync(kAllLanes, constant);
    for (int step = kWarp / 2; step > 0; step /= 2) bad = min(bad, __shfl_xor_sync(kAllLanes, bad, step));
    if (lane != 0) return;
    if (bad != ~0ull) atomicMin(first_bad, static_cast<unsigned long long>(r * cols) + bad);
    if (zero) atomicMin(first_bad + 1, static_cast<unsigned long long>(r));
    if (constant) atomicMin(first_bad + 2, static_cast<unsigned long long>(r));
}

constexpr int kColumns = 128;      // of u for a block, one a thread
constexpr int kSegmentRows = 128;  // summed by one block
constexpr int kStageRows = 32;     // whose weights are in shared memory together
constexpr int kWeights = 32;       // that a thread keeps sums of; more take another pass over u

// partial[segment][weight][column]: sums over the rows of a segment, in their order.
template <class T>
__global__ void __launch_bounds__(kColumns)
    weighted(const T* __restrict__ u, std::int64_t rows, std::int64_t cols, const double* __restrict__ weights,
             std::int64_t n_weights, std::int64_t weights_stride, double* __restrict__ partial) {
    __shared__ __align__(16) double staged[kStageRows][kWeights + 2];  // two more: neighbours in a column, other banks
    const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumns + threadIdx.x;
    const std::int64_t segment = static_cast<std::int64_t>(blockIdx.y) * kSegmentRows;
    const std::int64_t first_weight = static_cast<std::int64_t>(blockIdx.z) * kWeights;
    double sums[kWeights] = {};
    for (std::int64_t begin = segment; begin < segment + kSegmentRows && begin < rows; begin += kStageRows) {
        __syncthreads();
        for (int i = static_cast<int>(threadIdx.x); i < kStageRows * kWeights; i += kColumns) {
            const int w = i / kStageRows, r = i % kStageRows;
            const bool there = begin + r < rows && first_weight + w < n_weights;
            staged[r][w] = there ? weights[(first_weight + w) * weights_stride + begin + r] : 0.0;
        }
        __syncthreads();
#pragma unroll 4
        for (int r = 0; r < kStageRows; ++r) {
            const bool there = column < cols && begin + r < rows;
            const double value = there ? static_cast<double>(u[(begin + r) * cols + column]) : 0.0;
#pragma unroll
            for (int w = 0; w < kWeights; ++w) sums[w] += staged[r][w] * value;
        }
    }
    if (column >= cols) return;
#pragma unroll
    for (int w = 0; w < kWeights; ++w)
        if (first_weight + w < n_weights)
            partial[(static_cast<std::int64_t>(blockIdx.y) * n_weights + first_weight + w) * cols + column] = sums[w];
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    add(const T* __restrict__ products, std::int64_t n_products, std::int64_t size, double* __restrict__ out) {
    const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (i >= size) return;
    double total = out[i];
#pragma unroll 4
    for (std::int64_t b = 0; b < n_products; ++b) total += static_cast<double>(products[b * size + i]);
    out[i] = total;
}

template <class T>
bool rows_are_aligned(const DeviceRows& in) {
    const bool begin = reinterpret_cast<std::uintptr_t>(in.data) % (sizeof(T) * kGroup) == 0;
    return begin && in.cols % kGroup == 0 && in.stride % kGroup == 0;
}

}  // namespace

void prepare_rows(const DeviceRows& in, RowTransform transform, const double* shift, Precision precision, void* out,
                  double* norms, cudaStream_t stream) {
    if (in.rows == 0) return;
    visit(in.dtype, [&](auto zero) {
        using In = decltype(zero);
        const bool aligned = rows_are_aligned<In>(in);
        auto run = [&](auto out_zero) {
            using Out = decltype(out_zero);
            launch("prepare_rows", aligned ? prepare<In, Out, true> : prepare<In, Out, false>,
                   blocks_for(in.rows, kRowsPerBlock), kThreads, 0, stream, static_cast<const In*>(in.data), in.rows,
                   in.cols, in.stride, transform, shift, static_cast<Out*>(out), norms);
        };
        if (precision == Precision::fp64)
            run(double{});
        else
            run(float{});
    });
}

void scan_rows(const DeviceRows& in, unsigned long long* first_bad, cudaStream_t stream) {
    if (in.rows == 0) return;
    visit(in.dtype, [&](auto zero) {
        using In = decltype(zero);
        const bool aligned = rows_are_aligned<In>(in);
        launch("scan_rows", aligned ? scan<In, true> : scan<In, false>, blocks_for(in.rows, kRowsPerBlock), kThreads, 0,
               stream, static_cast<const In*>(in.data), in.rows, in.cols, in.stride, first_bad);
    });
}

std::int64_t partial_sums(std::int64_t rows, std::int64_t cols, std::int64_t n_weights) {
    return blocks_for(rows, kSegmentRows) * n_weights * cols;
}

void add_weighted_sums(Precision precision, const void* u, std::int64_t rows, std::int64_t cols, const double* weights,
                       std::int64_t n_weights, std::int64_t weights_stride, double* partial, double* out,
                       cudaStream_t stream) {
    if (rows == 0) return;
    const unsigned segments = blocks_for(rows, kSegmentRows);
    const dim3 grid(blocks_for(cols, kColumns), segments, blocks_for(n_weights, kWeights));
    auto run = [&](auto zero) {
        using T = decltype(zero);
        launch("add_weighted_sums", weighted<T>, grid, kColumns, 0, stream, static_cast<const T*>(u), rows, cols,
               weights, n_weights, weights_stride, partial);
    };
    if (precision == Precision::fp64)
        run(double{});
    else
        run(float{});
    const std::int64_t size = n_weights * cols;
    launch("add_weighted_sums", add<double>, blocks_for(size, kThreads), kThreads, 0, stream, partial,
           static_cast<std::int64_t>(segments), size, out);
}

void add_products(const float* products, std::int64_t n_products, std::int64_t size, double* out, cudaStream_t stream) {
    if (size == 0) return;
    launch("add_products", add<float>, blocks_for(size, kThreads), kThreads, 0, stream, products, n_products, size,
           out);
}

}  // namespace repsim::cuda
