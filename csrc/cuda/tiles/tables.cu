#include "cuda/tiles/tables.h"

#include <algorithm>

#include "cuda/tiles/entry.h"

namespace repsim::cuda {
namespace {

// Where in a tile this thread's rows and columns are: as in the sums, a warp has kWarpRows rows of a strip pair.
struct Patches {
    int row, col;
};
__device__ __forceinline__ Patches patches_of_thread() {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    return {static_cast<int>(blockIdx.y) * kStrip + warp * kWarpRows,
            static_cast<int>(blockIdx.x) * kStrip + lane * kPatchCols};
}

template <class Real>
__global__ void __launch_bounds__(kEpilogueThreads, 1)
    tile_distances(const __grid_constant__ LayerTile<Real> layer, TilePlace place, Real* __restrict__ out,
                   std::int64_t base) {
    const Patches at = patches_of_thread();
    const std::int64_t j = place.first_col + at.col, n = place.n_right;
    const Window window{0, place.n_left, 0, n, place.symmetric};
    const ColumnTerms<Real> columns = column_terms(layer, j);
#pragma unroll 1
    for (int r = at.row; r < at.row + kWarpRows; r += kPatchRows) {
        const std::int64_t i = place.first_row + r;
        const unsigned wanted = wanted_of_patch(window, i, j);
        Real v[kPatch];
        distances_of_patch(layer, place, r, at.col, columns, wanted, v);
#pragma unroll
        for (int e = 0; e < kPatch; ++e) {
            const std::int64_t row = i + e / kPatchCols, col = j + e % kPatchCols;
            const std::int64_t to = place.symmetric ? row * (2 * n - row - 1) / 2 + col - row - 1 : row * n + col;
            if (wanted >> e & 1) out[to - base] = v[e];
        }
    }
}

template <class Real, int kLayers>
struct CountArgs {
    LayerTile<Real> layers[kLayers];
    TilePlace place;
    unsigned long long* counts;
};

template <class Real, int kLayers>
__global__ void __launch_bounds__(kEpilogueThreads, 1)
    tile_counts(const __grid_constant__ CountArgs<Real, kLayers> args) {
    const TilePlace& place = args.place;
    if (place.first_col + (blockIdx.x + 1) * kStrip <= place.first_row + blockIdx.y * kStrip) return;
    const Patches at = patches_of_thread();
    const std::int64_t j = place.first_col + at.col;
    const Window window{0, place.n_left, 0, place.n_right, true};
    ColumnTerms<Real> columns[kLayers];
#pragma unroll
    for (int l = 0; l < kLayers; ++l) columns[l] = column_terms(args.layers[l], j);
#pragma unroll 1
    for (int r = at.row; r < at.row + kWarpRows; r += kPatchRows) {
        const unsigned wanted = wanted_of_patch(window, place.first_row + r, j);
        std::int64_t cell[kPatch] = {};
#pragma unroll
        for (int l = 0; l < kLayers; ++l) {
            const LayerTile<Real>& layer = args.layers[l];
            Real v[kPatch];
            distances_of_patch(layer, place, r, at.col, columns[l], wanted, v);
#pragma unroll
            for (int e = 0; e < kPatch; ++e)
                cell[e] = cell[e] * layer.bins + bin_of(v[e], layer.low, layer.bin_scale, layer.bins);
        }
#pragma unroll
        for (int e = 0; e < kPatch; ++e)
            if (wanted >> e & 1) atomicAdd(args.counts + cell[e], 1ull);
    }
}

// Counts of one layer, gathered in shared memory, two 16-bit counters in a word: most distances fall in few bins, and
// global additions to one address wait for each other. Blocks walk over the strip pairs of the tile and empty their
// counters before one can overflow.
constexpr int kCountThreads = 512, kCountWarps = kCountThreads / 32, kCountRows = kStrip / kCountWarps;
constexpr int kStripsCounted = 65535 / (kStrip * kStrip);
constexpr int kMostShared = 1 << 16;  // bins: 128 KiB
constexpr int kCountBlocks = 128;     // about one a multiprocessor of a large GPU
static_assert(kCountRows % kPatchRows == 0 && kStripsCounted >= 1);

template <class Real>
__global__ void __launch_bounds__(kCountThreads, 1)
    tile_counts_shared(const __grid_constant__ LayerTile<Real> layer, TilePlace place, int strip_rows, int strip_cols,
                       unsigned long long* __restrict__ counts) {
    REPSIM_DYNAMIC_SHARED(unsigned, held);
    const int words = (layer.bins + 1) / 2;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    for (int w = thread; w < words; w += kCountThreads) held[w] = 0;
    __syncthreads();
    const Window window{0, place.n_left, 0, place.n_right, true};
    int counted = 0;
    for (int strip = static_cast<int>(blockIdx.x); strip < strip_rows * strip_cols;
         strip += static_cast<int>(gridDim.x)) {
        const int row = strip / strip_cols * kStrip + warp * kCountRows;
        const int col = strip % strip_cols * kStrip + lane * kPatchCols;
        const std::int64_t j = place.first_col + col;
        if (place.first_col + (strip % strip_cols + 1) * kStrip > place.first_row + strip / strip_cols * kStrip) {
            const ColumnTerms<Real> columns = column_terms(layer, j);
#pragma unroll 1
            for (int r = row; r < row + kCountRows; r += kPatchRows) {
                const unsigned wanted = wanted_of_patch(window, place.first_row + r, j);
                Real v[kPatch];
                distances_of_patch(layer, place, r, col, columns, wanted, v);
#pragma unroll
                for (int e = 0; e < kPatch; ++e) {
                    const int bin = bin_of(v[e], layer.low, layer.bin_scale, layer.bins);
                    if (wanted >> e & 1) atomicAdd(held + bin / 2, bin % 2 == 0 ? 1u : 1u << 16);
                }
            }
            ++counted;
        }
        const bool last = strip + static_cast<int>(gridDim.x) >= strip_rows * strip_cols;
        if (counted < kStripsCounted && !last) continue;
        counted = 0;
        __syncthreads();
        for (int w = thread; w < words; w += kCountThreads) {
            const unsigned word = held[w];
            if (word == 0) continue;
            held[w] = 0;
            if (word & 0xffffu) atomicAdd(counts + 2 * w, static_cast<unsigned long long>(word & 0xffffu));
            if (word >> 16) atomicAdd(counts + 2 * w + 1, static_cast<unsigned long long>(word >> 16));
        }
        __syncthreads();
    }
}

// ---- neighbours: a warp keeps the lists of 4 rows in shared memory and walks over the columns of the tile
constexpr int kNeighbourWarps = 4;
constexpr int kNeighbourRows = kNeighbourWarps * kPatchRows;  // of a block of threads
static_assert(kStrip % kNeighbourRows == 0);

template <class Real>
__device__ __forceinline__ bool before(Real value, int index, Real than, int than_index) {
    return value < than || (value == than && index < than_index);
}

// Inserts into a sorted list of k, whose last falls out; all lanes of a warp call it with the same arguments.
template <class Real>
__device__ __forceinline__ void insert(Real* values, int* indices, int k, Real value, int index) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    int place = 0;
    for (int first = 0; first < k; first += 32) {
        const int e = first + lane;
        place += __popc(__ballot_sync(kAllLanes, e < k && before(values[e], indices[e], value, index)));
    }
    for (int first = (k - 1) / 32 * 32; first >= 0 && first + 31 >= place; first -= 32) {
        const int e = first + lane;
        const bool moves = e > place && e < k;
        const Real old_value = moves ? values[e - 1] : value;
        const int old_index = moves ? indices[e - 1] : index;
        __syncwarp();
        if (moves || e == place) {
            values[e] = old_value;
            indices[e] = old_index;
        }
        __syncwarp();
    }
}

template <class Real>
__global__ void __launch_bounds__(kNeighbourWarps * 32, 4)
    tile_neighbours(const __grid_constant__ LayerTile<Real> layer, TilePlace place, int tile_cols, bool without_self,
                    int k, Real* __restrict__ values, int* __restrict__ indices) {
    REPSIM_DYNAMIC_SHARED(Real, shared_values);
    int* shared_indices = reinterpret_cast<int*>(shared_values + kNeighbourRows * k);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int row = static_cast<int>(blockIdx.x) * kNeighbourRows + warp * kPatchRows;
    const std::int64_t i = place.first_row + row;
    Real* near_values = shared_values + warp * kPatchRows * k;
    int* near_indices = shared_indices + warp * kPatchRows * k;
    for (int at = lane; at < kPatchRows * k; at += 32) {
        near_values[at] = values[i * k + at];
        near_indices[at] = indices[i * k + at];
    }
    __syncwarp();
    const Window window{0, place.n_left, 0, place.n_right, false};
    for (int col = lane * kPatchCols; col < tile_cols; col += kStrip) {
        const std::int64_t j = place.first_col + col;
        unsigned wanted = wanted_of_patch(window, i, j);
        if (without_self) {
#pragma unroll
            for (int e = 0; e < kPatch; ++e)
                if (i + e / kPatchCols == j + e % kPatchCols) wanted &= ~(1u << e);
        }
        Real v[kPatch];
        distances_of_patch(layer, place, row, col, column_terms(layer, j), wanted, v);
        unsigned entering = 0;
#pragma unroll
        for (int e = 0; e < kPatch; ++e) {
            if (place.metric == Metric::dot) v[e] = -v[e];
            const int last = (e / kPatchCols + 1) * k - 1;
            const int index = static_cast<int>(j) + e % kPatchCols;
            if ((wanted >> e & 1) && before(v[e], index, near_values[last], near_indices[last])) entering |= 1u << e;
        }
        if (__ballot_sync(kAllLanes, entering != 0) == 0) continue;
#pragma unroll 1
        for (int e = 0; e < kPatch; ++e) {
            unsigned lanes = __ballot_sync(kAllLanes, entering >> e & 1);
            Real mine = v[0];
#pragma unroll
            for (int at = 1; at < kPatch; ++at) mine = at == e ? v[at] : mine;
            while (lanes != 0) {
                const int source = __ffs(static_cast<int>(lanes)) - 1;
                lanes &= lanes - 1;
                const Real value = __shfl_sync(kAllLanes, mine, source);
                const int index = static_cast<int>(j) + (source - lane) * kPatchCols + e % kPatchCols;
                const int list = e / kPatchCols * k;
                if (before(value, index, near_values[list + k - 1], near_indices[list + k - 1]))
                    insert(near_values + list, near_indices + list, k, value, index);
            }
        }
    }
    __syncwarp();
    for (int at = lane; at < kPatchRows * k; at += 32) {
        values[i * k + at] = near_values[at];
        indices[i * k + at] = near_indices[at];
    }
}

}  // namespace

void PairDistances::run(std::int64_t task, void* out, cudaStream_t stream) {
    shape_.is_double ? run_typed<double>(task, out, stream) : run_typed<float>(task, out, stream);
}

template <class Real>
void PairDistances::run_typed(std::int64_t task, void* out, cudaStream_t stream) {
    const std::int64_t first_row = task * shape_.tile_rows, n = shape_.n_right;
    const std::int64_t base = shape_.symmetric ? first_row * (2 * n - first_row - 1) / 2 : first_row * n;
    for (std::int64_t col = first_col(task); col < shape_.n_tile_cols(); ++col) {
        const TilePlace place{
            shape_.metric, shape_.symmetric, shape_.tile_cols, first_row, col * shape_.tile_cols, shape_.n_left, n};
        products_.make(layers_[0], shape_, first_row, place.first_col, stream);
        launch("tile_distances", tile_distances<Real>, dim3(shape_.tile_cols / kStrip, shape_.tile_rows / kStrip),
               dim3(kEpilogueThreads), 0, stream, layer_tile<Real>(layers_[0]), place, static_cast<Real*>(out), base);
    }
}

void PairHistograms::run(std::int64_t task, cudaStream_t stream) {
    shape_.is_double ? run_typed<double>(task, stream) : run_typed<float>(task, stream);
}

template <class Real>
void PairHistograms::run_typed(std::int64_t task, cudaStream_t stream) {
    const dim3 grid(shape_.tile_cols / kStrip, shape_.tile_rows / kStrip);
    for (std::int64_t col = first_col(task); col < shape_.n_tile_cols(); ++col) {
        const TilePlace place{shape_.metric,          true,          shape_.tile_cols, task * shape_.tile_rows,
                              col * shape_.tile_cols, shape_.n_left, shape_.n_right};
        for (const PairLayer& layer : layers_) products_.make(layer, shape_, place.first_row, place.first_col, stream);
        auto* counts = reinterpret_cast<unsigned long long*>(counts_);
        for (std::size_t l = 0; pairs_.empty() && l < layers_.size(); ++l) {
            const int bins = layers_[l].bins;
            if constexpr (sizeof(Real) == 4) {  // float64 needs more registers than so many threads have
                if (bins <= kMostShared) {
                    const int blocks = std::min<int>(kCountBlocks, grid.x * grid.y);
                    launch("tile_counts_shared", tile_counts_shared<Real>, dim3(blocks), dim3(kCountThreads),
                           static_cast<std::size_t>((bins + 1) / 2) * sizeof(unsigned), stream,
                           layer_tile<Real>(layers_[l]), place, shape_.tile_rows / kStrip, shape_.tile_cols / kStrip,
                           counts);
                    counts += bins;
                    continue;
                }
            }
            launch("tile_counts", tile_counts<Real, 1>, grid, dim3(kEpilogueThreads), 0, stream,
                   CountArgs<Real, 1>{{layer_tile<Real>(layers_[l])}, place, counts});
            counts += bins;
        }
        for (const auto& [i, j] : pairs_) {
            launch("tile_counts", tile_counts<Real, 2>, grid, dim3(kEpilogueThreads), 0, stream,
                   CountArgs<Real, 2>{{layer_tile<Real>(layers_[i]), layer_tile<Real>(layers_[j])}, place, counts});
            counts += static_cast<std::int64_t>(layers_[i].bins) * layers_[j].bins;
        }
    }
}

void PairNeighbours::run(std::int64_t task, cudaStream_t stream) {
    shape_.is_double ? run_typed<double>(task, stream) : run_typed<float>(task, stream);
}

template <class Real>
void PairNeighbours::run_typed(std::int64_t task, cudaStream_t stream) {
    const std::size_t shared = kNeighbourRows * static_cast<std::size_t>(k_) * (sizeof(Real) + sizeof(int));
    for (std::int64_t col = first_col(task); col < shape_.n_tile_cols(); ++col) {
        const TilePlace place{shape_.metric,          false,         shape_.tile_cols, task * shape_.tile_rows,
                              col * shape_.tile_cols, shape_.n_left, shape_.n_right};
        products_.make(layers_[0], shape_, place.first_row, place.first_col, stream);
        launch("tile_neighbours", tile_neighbours<Real>, dim3(shape_.tile_rows / kNeighbourRows),
               dim3(kNeighbourWarps * 32), shared, stream, layer_tile<Real>(layers_[0]), place, shape_.tile_cols,
               without_self_, k_, static_cast<Real*>(values_), indices_);
    }
}

}  // namespace repsim::cuda
