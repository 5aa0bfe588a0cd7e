#include "cuda/tiles/products.h"

#include "cuda/blas.h"
#include "cuda/tiles/entry.h"

namespace repsim::cuda {
namespace {

constexpr int kSide = 64, kDepth = 16, kPerThread = 4, kThreads = 256;
static_assert(kStrip % kSide == 0);

struct Product {
    template <class Real>
    static __device__ __forceinline__ void add(Real& sum, Real u, Real v) {
        sum += u * v;
    }
};
struct Manhattan {
    template <class Real>
    static __device__ __forceinline__ void add(Real& sum, Real u, Real v) {
        const Real difference = u - v;
        sum += difference < 0 ? -difference : difference;
    }
};
struct Chebyshev {
    template <class Real>
    static __device__ __forceinline__ void add(Real& largest, Real u, Real v) {
        const Real difference = u < v ? v - u : u - v;
        largest = difference > largest ? difference : largest;
    }
};

// 64 x 64 entries a block, 4 x 4 a thread; features run in order, so equal rows give equal entries.
template <class Core, class Row, class Real>
__global__ void __launch_bounds__(kThreads, 2)
    simt_tile(const Row* __restrict__ left, const Row* __restrict__ right, std::int64_t stride, int depth,
              Real* __restrict__ out, int out_stride) {
    __shared__ __align__(32) Real u[kDepth][kSide + 4];  // + 4: rows of a step fall into different banks
    __shared__ __align__(32) Real v[kDepth][kSide + 4];
    const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * kSide;
    const std::int64_t first_col = static_cast<std::int64_t>(blockIdx.x) * kSide;
    const int thread = static_cast<int>(threadIdx.x);
    const int tx = thread % 16 * kPerThread, ty = thread / 16 * kPerThread;
    Real sums[kPerThread][kPerThread] = {};
    for (int k0 = 0; k0 < depth; k0 += kDepth) {
        for (int at = thread; at < kSide * kDepth; at += kThreads) {
            const int row = at / kDepth, k = at % kDepth;
            const bool inside = k0 + k < depth;
            u[k][row] = inside ? Real(widen(left[(first_row + row) * stride + k0 + k])) : Real(0);
            v[k][row] = inside ? Real(widen(right[(first_col + row) * stride + k0 + k])) : Real(0);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < kDepth; ++k) {
            Real a[kPerThread], b[kPerThread];
            load_quad(&u[k][ty], a);
            load_quad(&v[k][tx], b);
#pragma unroll
            for (int i = 0; i < kPerThread; ++i)
#pragma unroll
                for (int j = 0; j < kPerThread; ++j) Core::add(sums[i][j], a[i], b[j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < kPerThread; ++i)
#pragma unroll
        for (int j = 0; j < kPerThread; ++j) out[(first_row + ty + i) * out_stride + first_col + tx + j] = sums[i][j];
}

template <class Row, class Real>
void launch_simt(Metric metric, const SweepShape& shape, const Row* left, const Row* right, std::int64_t stride,
                 int depth, Real* out, cudaStream_t stream) {
    const auto kernel = metric == Metric::manhattan   ? simt_tile<Manhattan, Row, Real>
                        : metric == Metric::chebyshev ? simt_tile<Chebyshev, Row, Real>
                                                      : simt_tile<Product, Row, Real>;
    const dim3 grid(blocks_for(shape.tile_cols, kSide), blocks_for(shape.tile_rows, kSide));
    launch("simt_tile", kernel, grid, dim3(kThreads), 0, stream, left, right, stride, depth, out, shape.tile_cols);
}

}  // namespace

Products::Products(const std::string& library, int lane)
    : blas_(library.empty() ? nullptr : &Blas::shared(library, lane)) {}

void Products::make(const PairLayer& layer, const SweepShape& shape, std::int64_t row, std::int64_t col,
                    cudaStream_t stream) {
    const bool product = shape.metric != Metric::manhattan && shape.metric != Metric::chebyshev;
    const RowType type = product ? layer.operand_type : layer.value_type;
    const std::int64_t stride = product ? layer.operand_stride : layer.value_stride;
    const int depth = product ? layer.depth : layer.n_features;
    const std::int64_t bytes = type == RowType::f64 ? 8 : type == RowType::f32 ? 4 : 2;
    const std::int64_t left_at = row * stride + (product ? layer.left_offset : 0);
    const char* left = static_cast<const char*>(product ? layer.left.operand : layer.left.values) + left_at * bytes;
    const char* right =
        static_cast<const char*>(product ? layer.right.operand : layer.right.values) + col * stride * bytes;
    if (product && blas_) {
        blas_->product(type, left, stride, right, stride, shape.tile_rows, shape.tile_cols, depth, layer.tile,
                       shape.tile_cols, stream);
        return;
    }
    if (type == RowType::f64)
        launch_simt(shape.metric, shape, reinterpret_cast<const double*>(left), reinterpret_cast<const double*>(right),
                    stride, depth, static_cast<double*>(layer.tile), stream);
    else if (type == RowType::f32)
        launch_simt(shape.metric, shape, reinterpret_cast<const float*>(left), reinterpret_cast<const float*>(right),
                    stride, depth, static_cast<float*>(layer.tile), stream);
    else
        launch_simt(shape.metric, shape, reinterpret_cast<const f16*>(left), reinterpret_cast<const f16*>(right),
                    stride, depth, static_cast<float*>(layer.tile), stream);
}

}  // namespace repsim::cuda
