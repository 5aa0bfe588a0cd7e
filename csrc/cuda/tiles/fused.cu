#include "cuda/tiles/fused.h"

#ifdef REPSIM_CUDA_EMULATED
namespace repsim::cuda {
bool fused_available(Metric, int) { return false; }
void run_fused(const FusedSums&, cudaStream_t) { throw std::logic_error("the emulator has no tensor cores"); }
}  // namespace repsim::cuda
#else

#include <cuda_fp16.h>

#include <algorithm>

#include "cuda/hopper.h"
#include "cuda/tensor_map.h"
#include "cuda/tiles/entry.h"

namespace repsim::cuda {
namespace {

constexpr int kDepth = 64;  // halves of a row in one stage: 128 bytes, one swizzle
constexpr int kStages = 4;
constexpr int kThreads = 384, kWarpgroups = 2;  // the first 128 threads feed, the others multiply
constexpr int kLeftBytes = kFusedRows * kDepth * 2, kRightBytes = kFusedCols * kDepth * 2;
constexpr int kStageBytes = kLeftBytes + kRightBytes;
constexpr int kLead =
    3;  // stages that the first warpgroup is ahead of the second, so that their epilogues do not coincide
constexpr int kBoxRows = 128;                               // of one copy
constexpr int kEntries = 128;                               // of a thread and layer
constexpr int kSharedBytes = kStages * kStageBytes + 1024;  // stages begin at multiples of 1024

struct FusedArgs {
    CUtensorMap maps[2];
    LayerTile<float> layers[2];
    int left_offsets[2];
    int chunks[2];  // of kDepth, in the depth of a layer
    float noise_scale;
    float factor;  // entry = factor * h for metrics that are linear in h
    int n, first_row, row_tiles, first_col_tile, n_tiles;
    const std::int64_t *row_begin, *rows_of_cut, *col_begin, *cols_of_cut;
    std::int64_t first_segment, n_col_segments;
    double* out[5];
};

struct Place {
    int row, col;
    bool wanted;  // holds pairs right of the diagonal
};

__device__ __forceinline__ Place place_of(const FusedArgs& args, int tile) {
    const int row = args.first_row + tile % args.row_tiles * kFusedRows;
    const int col = (args.first_col_tile + tile / args.row_tiles) * kFusedCols;
    return {row, col, row < args.n && col + kFusedCols - 1 > row};
}

struct Ring {
    int stage = 0;
    unsigned phase = 0;
    __device__ __forceinline__ void next() {
        if (++stage == kStages) {
            stage = 0;
            phase ^= 1;
        }
    }
};

// A thread's part of a layer's tile: 2 rows, 8 apart, and of each 64 columns (see hopper::multiply).
struct Mine {
    int row, col;  // of the first entry
    __device__ __forceinline__ int row_of(int e) const { return row + (e & 2 ? 8 : 0); }
    __device__ __forceinline__ int col_of(int e) const { return col + e / 4 * 8 + (e & 1); }
};

// Rows [row_begin, row_end) x columns [col_begin, col_end), right of the diagonal.
struct Cut {
    int row_begin, row_end, col_begin, col_end;
};

// Two columns' terms for each thread of a warpgroup, read while the tensor cores are busy: half squares, then scales.
__device__ __forceinline__ void keep_columns(const LayerTile<float>& layer, int col, int thread, float4* columns) {
    const float2 b = __ldg(reinterpret_cast<const float2*>(layer.right_half_squares + col) + thread);
    const float2 s = __ldg(reinterpret_cast<const float2*>(layer.right_scales + col) + thread);
    columns[thread] = {b.x, b.y, s.x, s.y};
}

// Products become half squared distances; what cancelled is made again from differences.
__device__ __forceinline__ void half_squared_distances(const LayerTile<float>& layer, const float4* columns,
                                                       const Mine& mine, int n, float (&v)[kEntries]) {
    const float terms[2] = {layer.left_half_squares[mine.row], layer.left_half_squares[mine.row + 8]};
    const float scales[2] = {layer.left_scales[mine.row], layer.left_scales[mine.row + 8]};
    float nearest[4] = {};  // four chains: one would wait for itself
#pragma unroll
    for (int j = 0; j < kEntries / 4; ++j) {
        const float4 of_columns = columns[4 * j + static_cast<int>(threadIdx.x) % 4];
#pragma unroll
        for (int q = 0; q < 4; ++q) {
            const float sum = terms[q / 2] + (q & 1 ? of_columns.y : of_columns.x);
            const float h = sum - v[4 * j + q] * scales[q / 2] * (q & 1 ? of_columns.w : of_columns.z);
            nearest[q] = fminf(nearest[q], 16 * h - sum);
            v[4 * j + q] = h;
        }
    }
    if (__ballot_sync(kAllLanes, fminf(fminf(nearest[0], nearest[1]), fminf(nearest[2], nearest[3])) < 0) == 0) return;
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll 1
    for (int e = 0; e < kEntries; ++e) {
        float h = v[0];
#pragma unroll
        for (int at = 1; at < kEntries; ++at) h = at == e ? v[at] : h;
        const int i = mine.row_of(e), j = mine.col_of(e);
        const bool near = j > i && j < n && 16 * h < layer.left_half_squares[i] + layer.right_half_squares[j];
        unsigned lanes = __ballot_sync(kAllLanes, near);
        if (lanes == 0) continue;
        while (lanes != 0) {
            const int source = __ffs(static_cast<int>(lanes)) - 1;
            lanes &= lanes - 1;
            const float again =
                half_distance(layer, __shfl_sync(kAllLanes, i, source), __shfl_sync(kAllLanes, j, source));
            h = lane == source ? again : h;
        }
#pragma unroll
        for (int at = 0; at < kEntries; ++at) v[at] = at == e ? h : v[at];
    }
}

template <bool kRoot, bool kMapped>
__device__ __forceinline__ void finish(const FusedArgs& args, const LayerTile<float>& layer, float (&v)[kEntries]) {
#pragma unroll
    for (int e = 0; e < kEntries; ++e) {
        if (!kRoot && !kMapped) {
            v[e] = fmaf(args.factor, v[e], -layer.origin);
            continue;
        }
        float x = kRoot ? square_root(fmaxf(2 * v[e], 0.0f)) : args.factor * v[e];
        if (kMapped && layer.map == MapKind::rbf) x = __expf(-layer.gamma * x);
        if (kMapped && layer.map == MapKind::expm1) x = expm1f(-layer.gamma * x);
        if (kMapped && layer.map == MapKind::table)
            x = __ldg(layer.table + bin_of(x, layer.low, layer.bin_scale, layer.bins));
        v[e] = x - layer.origin;
    }
}

// (sum, sum of squares, sum of products with `other`) of the entries in the window; a chain of float32 is 16 long.
template <bool kMasked, bool kCross>
__device__ __forceinline__ void add_entries(const float (&v)[kEntries], const unsigned (&other)[kEntries / 2],
                                            const Mine& mine, const Cut& window, double (&sums)[3]) {
#pragma unroll
    for (int run = 0; run < kEntries; run += 16) {
        float first = 0, second = 0, cross = 0;
#pragma unroll
        for (int e = run; e < run + 16; e += 2) {
            float2 x{v[e], v[e + 1]};
            if (kMasked) {
                const int i = mine.row_of(e), j = mine.col_of(e);
                const bool in_rows = i >= window.row_begin && i < window.row_end;
                x.x = in_rows && j >= window.col_begin && j < window.col_end && j > i ? x.x : 0.0f;
                x.y = in_rows && j + 1 >= window.col_begin && j + 1 < window.col_end && j + 1 > i ? x.y : 0.0f;
            }
            first += x.x;
            first += x.y;
            second += x.x * x.x;
            second += x.y * x.y;
            if (kCross) {
                const float2 y = __half22float2(*reinterpret_cast<const __half2*>(&other[e / 2]));
                cross += x.x * y.x;
                cross += x.y * y.y;
            }
        }
        sums[0] += first;
        sums[1] += second;
        if (kCross) sums[2] += cross;
    }
}

// The warpgroup's sums, added in a fixed order, to the place of a pair of segments.
template <bool kCross>
__device__ __forceinline__ void write_sums(const FusedArgs& args, const double (&sums)[3], double (*of_warp)[4],
                                           int barrier, int place, double unscale) {
    constexpr int n_stats = kCross ? 3 : 2;
    const int thread = static_cast<int>(threadIdx.x) % 128, warp = thread / 32, lane = thread % 32;
#pragma unroll
    for (int s = 0; s < n_stats; ++s) {
        const double total = warp_sum(sums[s]);
        if (lane == 0) of_warp[s][warp] = total;
    }
    hopper::warpgroup_barrier(barrier);
    if (thread < n_stats) {
        const double total = of_warp[thread][0] + of_warp[thread][1] + of_warp[thread][2] + of_warp[thread][3];
        double* out = thread == 0 ? args.out[kCross ? 1 : 0] : thread == 1 ? args.out[kCross ? 3 : 2] : args.out[4];
        out[place] = thread == 2 ? total * unscale : total;
    }
    hopper::warpgroup_barrier(barrier);
}

// Sums over the segments of this warpgroup's 64 x 256 pairs, to their places. Most lie in one pair of blocks, right of
// the diagonal: that case has its own code, without the work of the others.
template <bool kCross>
__device__ __forceinline__ void reduce(const FusedArgs& args, const float (&v)[kEntries],
                                       const unsigned (&other)[kEntries / 2], const Mine& mine, int row, int col,
                                       double (*of_warp)[4], int barrier, double unscale) {
    const int first_p = static_cast<int>(args.rows_of_cut[row / kFusedRowCut]);
    const int last_p = static_cast<int>(args.rows_of_cut[row / kFusedRowCut + 1]);
    const int first_q = static_cast<int>(args.cols_of_cut[col / kFusedCols]);
    const int last_q = static_cast<int>(args.cols_of_cut[col / kFusedCols + 1]);
    const int stride = static_cast<int>(args.n_col_segments), first_segment = static_cast<int>(args.first_segment);
    const bool full = row + kFusedRowCut <= args.n && col + kFusedCols <= args.n && row + kFusedRowCut <= col;
    if (full && last_p - first_p == 1 && last_q - first_q == 1) {
        double sums[3] = {};
        add_entries<false, kCross>(v, other, mine, Cut{}, sums);
        write_sums<kCross>(args, sums, of_warp, barrier, (first_p - first_segment) * stride + first_q, unscale);
        return;
    }
#pragma unroll 1
    for (int p = first_p; p < last_p; ++p) {
#pragma unroll 1
        for (int q = first_q; q < last_q; ++q) {
            const Cut window{static_cast<int>(args.row_begin[p]), static_cast<int>(args.row_begin[p + 1]),
                             static_cast<int>(args.col_begin[q]), static_cast<int>(args.col_begin[q + 1])};
            double sums[3] = {};
            add_entries<true, kCross>(v, other, mine, window, sums);
            write_sums<kCross>(args, sums, of_warp, barrier, (p - first_segment) * stride + q, unscale);
        }
    }
}

__device__ __forceinline__ void feed(const FusedArgs& args, unsigned char* stages, std::uint64_t* full,
                                     std::uint64_t* empty) {
    Ring ring;
    ring.phase = 1;  // the first waits pass: all stages are empty
    for (int tile = static_cast<int>(blockIdx.x); tile < args.n_tiles; tile += static_cast<int>(gridDim.x)) {
        const Place place = place_of(args, tile);
        if (!place.wanted) continue;
        for (int l = 0; l < 2; ++l) {
            for (int chunk = 0; chunk < args.chunks[l]; ++chunk) {
                hopper::barrier_wait(&empty[ring.stage], ring.phase);
                hopper::barrier_expect(&full[ring.stage], kStageBytes);
                unsigned char* to = stages + ring.stage * kStageBytes;
                const int k = chunk * kDepth;
                hopper::copy_box(to, &args.maps[l], args.left_offsets[l] + k, place.row, &full[ring.stage]);
                for (int part = 0; part < kFusedCols / kBoxRows; ++part)
                    hopper::copy_box(to + kLeftBytes + part * kBoxRows * kDepth * 2, &args.maps[l], k,
                                     place.col + part * kBoxRows, &full[ring.stage]);
                ring.next();
            }
        }
    }
}

__device__ __forceinline__ void multiply_layer(int chunks, int warpgroup, unsigned char* stages, std::uint64_t* full,
                                               std::uint64_t* empty, Ring& ring, bool leads, float (&v)[kEntries]) {
    const bool speaks = threadIdx.x % 128 == 0;
    int before = -1;
    for (int chunk = 0; chunk < chunks; ++chunk) {
        hopper::barrier_wait(&full[ring.stage], ring.phase);
        const unsigned char* left = stages + ring.stage * kStageBytes + warpgroup * kFusedRowCut * kDepth * 2;
        const unsigned char* right = stages + ring.stage * kStageBytes + kLeftBytes;
        hopper::products_begin();
#pragma unroll
        for (int k = 0; k < kDepth / 16; ++k)
            hopper::multiply(v, hopper::matrix(left + 32 * k), hopper::matrix(right + 32 * k), chunk > 0 || k > 0);
        hopper::products_commit();
        hopper::products_wait<1>();  // the chunk before is done with its stage
        if (before >= 0 && speaks) hopper::barrier_arrive(&empty[before]);
        before = ring.stage;
        ring.next();
        if (leads && chunk == (chunks < kLead ? chunks : kLead) - 1) hopper::say_started(1 + kWarpgroups);
    }
    hopper::products_wait<0>();
    if (speaks) hopper::barrier_arrive(&empty[before]);
}

template <bool kRoot, bool kMapped>
__global__ void __launch_bounds__(kThreads, 1) fused_sums(const __grid_constant__ FusedArgs args) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ unsigned char raw[];
    __shared__ std::uint64_t full[kStages], empty[kStages];
    __shared__ double of_warp[kWarpgroups][3][4];
    __shared__ float4 columns[kWarpgroups][kFusedCols / 2];
    unsigned char* stages = raw + (1024 - hopper::shared_address(raw) % 1024) % 1024;
    if (threadIdx.x == 0) {
        for (int s = 0; s < kStages; ++s) {
            hopper::barrier_init(&full[s], 1);
            hopper::barrier_init(&empty[s], kWarpgroups);
        }
        hopper::fence_barriers();
    }
    __syncthreads();
    if (threadIdx.x < 128) {
        hopper::fewer_registers<24>();
        if (threadIdx.x == 0) feed(args, stages, full, empty);
    } else {
        hopper::more_registers<240>();
        const int warpgroup = static_cast<int>(threadIdx.x) / 128 - 1, thread = static_cast<int>(threadIdx.x) % 128;
        Ring ring;
        bool first = true;
        for (int tile = static_cast<int>(blockIdx.x); tile < args.n_tiles; tile += static_cast<int>(gridDim.x)) {
            const Place place = place_of(args, tile);
            if (!place.wanted) continue;
            const int row = place.row + warpgroup * kFusedRowCut;
            const Mine mine{row + thread / 32 * 16 + thread % 32 / 4, place.col + thread % 4 * 2};
            float v[kEntries];
            unsigned kept[kEntries / 2];
            keep_columns(args.layers[0], place.col, thread, columns[warpgroup]);
            if (first && warpgroup == 1) hopper::wait_started(1 + kWarpgroups);
            multiply_layer(args.chunks[0], warpgroup, stages, full, empty, ring, first && warpgroup == 0, v);
            first = false;
            const bool inside = row < args.n;
            hopper::warpgroup_barrier(1 + warpgroup);
            if (inside) {
                half_squared_distances(args.layers[0], columns[warpgroup], mine, args.n, v);
                finish<kRoot, kMapped>(args, args.layers[0], v);
                reduce<false>(args, v, kept, mine, row, place.col, of_warp[warpgroup], 1 + warpgroup, 1.0);
            }
#pragma unroll
            for (int e = 0; e < kEntries; e += 2) {
                const __half2 pair = __floats2half2_rn(v[e] * args.noise_scale, v[e + 1] * args.noise_scale);
                kept[e / 2] = *reinterpret_cast<const unsigned*>(&pair);
            }
            keep_columns(args.layers[1], place.col, thread, columns[warpgroup]);
            multiply_layer(args.chunks[1], warpgroup, stages, full, empty, ring, false, v);
            hopper::warpgroup_barrier(1 + warpgroup);
            if (inside) {
                half_squared_distances(args.layers[1], columns[warpgroup], mine, args.n, v);
                finish<kRoot, kMapped>(args, args.layers[1], v);
                reduce<true>(args, v, kept, mine, row, place.col, of_warp[warpgroup], 1 + warpgroup,
                             1.0 / args.noise_scale);
            }
        }
    }
#endif
}

}  // namespace

bool fused_available(Metric metric, int depth) {
    if (metric != Metric::cosine && metric != Metric::correlation && metric != Metric::sqeuclidean &&
        metric != Metric::euclidean)
        return false;
    int device = 0, major = 0, minor = 0;
    if (cudaGetDevice(&device) != cudaSuccess) return false;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    if (major != 9 || minor != 0 || depth < kDepth || tensor_map_encoder() == nullptr) return false;
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, fused_sums<false, false>) == cudaSuccess &&
           attributes.binaryVersion == 90;
}

void run_fused(const FusedSums& sums, cudaStream_t stream) {
    FusedArgs args{};
    bool mapped = false;
    for (int l = 0; l < 2; ++l) {
        const PairLayer& layer = sums.layers[l];
        args.maps[l] = tensor_map(layer.left.operand, sums.n, layer.operand_stride, kDepth, kBoxRows);
        args.layers[l] = layer_tile<float>(layer);
        args.left_offsets[l] = static_cast<int>(layer.left_offset);
        args.chunks[l] = (layer.depth + kDepth - 1) / kDepth;
        mapped = mapped || layer.map != MapKind::none;
    }
    args.noise_scale = sums.noise_scale;
    args.factor = sums.metric == Metric::sqeuclidean ? 2.0f : 1.0f;
    args.n = static_cast<int>(sums.n);
    args.first_row = static_cast<int>(sums.first_row);
    args.row_tiles = static_cast<int>((sums.n_rows + kFusedRows - 1) / kFusedRows);
    args.first_col_tile = static_cast<int>(sums.first_row / kFusedCols);
    const int col_tiles = static_cast<int>((sums.n + kFusedCols - 1) / kFusedCols) - args.first_col_tile;
    args.n_tiles = args.row_tiles * col_tiles;
    args.row_begin = sums.row_begin;
    args.rows_of_cut = sums.rows_of_cut;
    args.col_begin = sums.col_begin;
    args.cols_of_cut = sums.cols_of_cut;
    args.first_segment = sums.first_segment;
    args.n_col_segments = sums.n_col_segments;
    for (int s = 0; s < 5; ++s) args.out[s] = sums.out[s];
    static const int multiprocessors = [] {
        int device = 0, count = 1;
        cudaGetDevice(&device);
        cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
        return count;
    }();
    const bool root = sums.metric == Metric::euclidean;
    const auto kernel = root ? (mapped ? fused_sums<true, true> : fused_sums<true, false>)
                             : (mapped ? fused_sums<false, true> : fused_sums<false, false>);
    launch("fused_sums", kernel, dim3(std::min(args.n_tiles, multiprocessors)), dim3(kThreads), kSharedBytes, stream,
           args);
}

}  // namespace repsim::cuda
#endif
