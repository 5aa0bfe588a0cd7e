#include "cuda/tiles/sums.h"

#include <algorithm>

#include "cuda/tiles/entry.h"
#include "cuda/tiles/fused.h"

namespace repsim::cuda {
namespace {

// v of each layer, v^2 of each layer, the product of two
template <int kLayers>
constexpr int kStats = kLayers == 1 ? 2 : 5;

template <class Real, int kLayers>
struct SumArgs {
    LayerTile<Real> layers[kLayers];
    TilePlace place;
    const std::int64_t *segment_begin, *segment_of_strip;
    std::int64_t n_segments, first_segment;  // of the row of tiles
    double* out[kStats<kLayers>];            // null: not wanted
};

// Sums over one warp's rows of the strip pair. A chain of float32 additions is 16 long, then float64.
template <class Real, int kLayers, bool kMasked>
__device__ __forceinline__ void sum_window(const SumArgs<Real, kLayers>& args, int row, int col, const Window& window,
                                           double (&sums)[kStats<kLayers>]) {
    ColumnTerms<Real> columns[kLayers];
#pragma unroll
    for (int l = 0; l < kLayers; ++l) columns[l] = column_terms(args.layers[l], args.place.first_col + col);
#pragma unroll 1
    for (int r = row; r < row + kWarpRows; r += kPatchRows) {
        unsigned wanted = (1u << kPatch) - 1;
        if (kMasked) wanted = wanted_of_patch(window, args.place.first_row + r, args.place.first_col + col);
        Real v[kLayers][kPatch];
#pragma unroll
        for (int l = 0; l < kLayers; ++l) {
            // with doubles the terms of the columns do not fit in registers beside the entries of two layers
            const ColumnTerms<Real> terms =
                sizeof(Real) == 8 ? column_terms(args.layers[l], args.place.first_col + col) : columns[l];
            entries_of_patch(args.layers[l], args.place, r, col, terms, wanted, v[l]);
            if (kMasked) {
#pragma unroll
                for (int e = 0; e < kPatch; ++e) v[l][e] = wanted >> e & 1 ? v[l][e] : Real(0);
            }
            Real first = 0, second = 0;
#pragma unroll
            for (int e = 0; e < kPatch; ++e) {
                first += v[l][e];
                second += v[l][e] * v[l][e];
            }
            sums[l] += first;
            sums[kLayers + l] += second;
        }
        if (kLayers == 2) {
            Real cross = 0;
#pragma unroll
            for (int e = 0; e < kPatch; ++e) cross += v[0][e] * v[kLayers - 1][e];
            sums[kStats<kLayers> - 1] += cross;
        }
    }
}

// One block for each strip pair of the tile; its segment pairs one after another.
template <class Real, int kLayers>
__global__ void __launch_bounds__(kEpilogueThreads, sizeof(Real) == 8 ? 1 : 2)
    tile_sums(const __grid_constant__ SumArgs<Real, kLayers> args) {
    constexpr int n_stats = kStats<kLayers>;
    __shared__ double of_warp[n_stats][kEpilogueWarps];
    const std::int64_t strip_row = args.place.first_row / kStrip + blockIdx.y;
    const std::int64_t strip_col = args.place.first_col / kStrip + blockIdx.x;
    if (strip_col < strip_row || strip_col * kStrip >= args.place.n_right) return;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int row = static_cast<int>(blockIdx.y) * kStrip + warp * kWarpRows;
    const int col = static_cast<int>(blockIdx.x) * kStrip + lane * kPatchCols;
    const bool diagonal = strip_row == strip_col;
    for (std::int64_t p = args.segment_of_strip[strip_row]; p < args.segment_of_strip[strip_row + 1]; ++p) {
        for (std::int64_t q = args.segment_of_strip[strip_col]; q < args.segment_of_strip[strip_col + 1]; ++q) {
            if (q < p) continue;
            const Window window{args.segment_begin[p], args.segment_begin[p + 1], args.segment_begin[q],
                                args.segment_begin[q + 1], diagonal};
            const bool whole =
                !diagonal && window.row_end - window.row_begin == kStrip && window.col_end - window.col_begin == kStrip;
            double sums[n_stats] = {};
            if (whole)
                sum_window<Real, kLayers, false>(args, row, col, window, sums);
            else
                sum_window<Real, kLayers, true>(args, row, col, window, sums);
#pragma unroll
            for (int s = 0; s < n_stats; ++s) {
                const double total = warp_sum(sums[s]);
                if (lane == 0) of_warp[s][warp] = total;
            }
            __syncthreads();
            if (thread < n_stats) {
                double total = 0;
                for (int w = 0; w < kEpilogueWarps; ++w) total += of_warp[thread][w];
                double* out = nullptr;
#pragma unroll
                for (int s = 0; s < n_stats; ++s) out = s == thread ? args.out[s] : out;
                if (out != nullptr) out[(p - args.first_segment) * args.n_segments + q] = total;
            }
            __syncthreads();
        }
    }
}

// sums[a][bi][bj] += the partial sums of block pair (bi, bj) in this row of tiles, a warp for each; bi in
// [first_block, first_block + n_row_blocks).
struct FoldArgs {
    const double* partial;
    double* sums;
    const std::int64_t *rows_of_block, *cols_of_block;
    std::int64_t n_arrays, first_segment, last_segment, n_segments, partial_rows, first_block, n_row_blocks, n_blocks;
    bool upper;  // segments of rows and columns are the same, and only p <= q were written
};

__global__ void __launch_bounds__(kEpilogueThreads) fold_sums(FoldArgs args) {
    const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kEpilogueWarps + threadIdx.x / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const std::int64_t bj = warp % args.n_blocks, rest = warp / args.n_blocks;
    const std::int64_t bi = args.first_block + rest % args.n_row_blocks, array = rest / args.n_row_blocks;
    if (array >= args.n_arrays || bj < bi) return;
    const std::int64_t p_begin = max(args.rows_of_block[bi], args.first_segment);
    const std::int64_t p_end = min(args.rows_of_block[bi + 1], args.last_segment);
    const std::int64_t q_begin = args.cols_of_block[bj], n_q = args.cols_of_block[bj + 1] - q_begin;
    const double* from = args.partial + array * args.partial_rows * args.n_segments;
    double total = 0;
    for (std::int64_t at = lane; at < (p_end - p_begin) * n_q; at += 32) {
        const std::int64_t p = p_begin + at / n_q, q = q_begin + at % n_q;
        if (!args.upper || p <= q) total += from[(p - args.first_segment) * args.n_segments + q];
    }
    total = warp_sum(total);
    if (lane == 0) args.sums[(array * args.n_blocks + bi) * args.n_blocks + bj] += total;
}

__global__ void __launch_bounds__(kEpilogueThreads) clear(double* out, std::int64_t count) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kEpilogueThreads;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kEpilogueThreads + threadIdx.x; i < count; i += step)
        out[i] = 0;
}

void clear_partial(double* out, std::int64_t count, cudaStream_t stream) {
    launch("clear", clear, dim3(std::min(256u, blocks_for(count, kEpilogueThreads))), dim3(kEpilogueThreads), 0, stream,
           out, count);
}

// Sums of each row and of each column of a strip pair, of one layer.
template <class Real>
__global__ void __launch_bounds__(kEpilogueThreads, sizeof(Real) == 8 ? 1 : 2)
    tile_row_sums(const __grid_constant__ LayerTile<Real> layer, TilePlace place, int tile_rows,
                  double* __restrict__ row_partial, double* __restrict__ col_partial, std::int64_t col_stride) {
    __shared__ double of_column[kEpilogueWarps][kStrip];
    const std::int64_t strip_row = place.first_row / kStrip + blockIdx.y;
    const std::int64_t strip_col = place.first_col / kStrip + blockIdx.x;
    if (strip_col < strip_row || strip_col * kStrip >= place.n_right) return;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int row = static_cast<int>(blockIdx.y) * kStrip + warp * kWarpRows;
    const int col = static_cast<int>(blockIdx.x) * kStrip + lane * kPatchCols;
    const Window window{0, place.n_left, 0, place.n_right, strip_row == strip_col};
    double column_sums[kPatchCols] = {};
#pragma unroll 1
    for (int r = row; r < row + kWarpRows; r += kPatchRows) {
        const unsigned wanted = wanted_of_patch(window, place.first_row + r, place.first_col + col);
        Real v[kPatch];
        entries_of_patch(layer, place, r, col, column_terms(layer, place.first_col + col), wanted, v);
#pragma unroll
        for (int i = 0; i < kPatchRows; ++i) {
            double row_sum = 0;
#pragma unroll
            for (int c = 0; c < kPatchCols; ++c) {
                const int e = kPatchCols * i + c;
                const double x = wanted >> e & 1 ? static_cast<double>(v[e]) : 0.0;
                row_sum += x;
                column_sums[c] += x;
            }
            row_sum = warp_sum(row_sum);
            if (lane == 0) row_partial[strip_col * tile_rows + r + i] = row_sum;
        }
    }
#pragma unroll
    for (int c = 0; c < kPatchCols; ++c) of_column[warp][lane * kPatchCols + c] = column_sums[c];
    __syncthreads();
    if (thread < kStrip) {
        double total = 0;
        for (int w = 0; w < kEpilogueWarps; ++w) total += of_column[w][thread];
        col_partial[blockIdx.y * col_stride + strip_col * kStrip + thread] = total;
    }
}

// rows[r] += the row of r, then its columns, of one row of tiles. `strips`: of the row of tiles.
__global__ void __launch_bounds__(kEpilogueThreads)
    fold_rows(const double* __restrict__ row_partial, const double* __restrict__ col_partial, std::int64_t col_stride,
              std::int64_t first_row, int tile_rows, std::int64_t n, double* __restrict__ rows) {
    const std::int64_t r = first_row + static_cast<std::int64_t>(blockIdx.x) * kEpilogueThreads + threadIdx.x;
    if (r >= n) return;
    double total = 0;
    if (r < first_row + tile_rows)
        for (std::int64_t strip = r / kStrip; strip * kStrip < n; ++strip)
            total += row_partial[strip * tile_rows + r - first_row];
    const std::int64_t last = min(r / kStrip, (first_row + tile_rows) / kStrip - 1);
    for (std::int64_t strip = first_row / kStrip; strip <= last; ++strip)
        total += col_partial[(strip - first_row / kStrip) * col_stride + r];
    rows[r] += total;
}

}  // namespace

PairSums::PairSums(SweepShape shape, std::vector<PairLayer> layers, std::vector<std::pair<int, int>> pairs,
                   Segments segments, Memory memory, const std::string& blas, int lanes, bool fused)
    : shape_(shape),
      layers_(std::move(layers)),
      pairs_(std::move(pairs)),
      first_pair_(layers_.size(), -1),
      segments_(std::move(segments)),
      memory_(memory),
      fused_(fused),
      lanes_(lanes) {
    for (std::size_t p = 0; p < pairs_.size(); ++p)
        for (const int layer : {pairs_[p].first, pairs_[p].second})
            if (first_pair_[layer] < 0) first_pair_[layer] = static_cast<int>(p);
    for (std::size_t t = 0; t + 1 < segments_.of_tile_row.size(); ++t)
        partial_rows_ = std::max(partial_rows_, segments_.of_tile_row[t + 1] - segments_.of_tile_row[t]);
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) products_.emplace_back(blas, static_cast<int>(lane));
}

void PairSums::run(std::int64_t task, cudaStream_t stream) {
    if (fused_)
        add_fused(task, stream);
    else if (shape_.is_double)
        run_typed<double>(task, stream);
    else
        run_typed<float>(task, stream);
    fold(task, stream);
}

// A row of tiles, from its diagonal on.
template <class Real>
void PairSums::run_typed(std::int64_t task, cudaStream_t stream) {
    lanes_.fork(stream);
    std::size_t lane = 0;
    for (std::int64_t col = task * shape_.tile_rows / shape_.tile_cols; col < shape_.n_tile_cols(); ++col) {
        add_tile<Real>(task, col, lane, lanes_.stream(lane, stream));
        lane = (lane + 1) % lanes_.size();
    }
    lanes_.join(stream);
}

template <class Real>
void PairSums::add_tile(std::int64_t task, std::int64_t col, std::size_t lane, cudaStream_t stream) {
    const TilePlace place{shape_.metric,          true,          shape_.tile_cols, task * shape_.tile_rows,
                          col * shape_.tile_cols, shape_.n_left, shape_.n_right};
    const dim3 grid(shape_.tile_cols / kStrip, shape_.tile_rows / kStrip);
    std::vector<LayerTile<Real>> tiles;
    for (PairLayer layer : layers_) {
        layer.tile =
            static_cast<Real*>(layer.tile) + lane * static_cast<std::size_t>(shape_.tile_rows) * shape_.tile_cols;
        products_[lane].make(layer, shape_, place.first_row, place.first_col, stream);
        tiles.push_back(layer_tile<Real>(layer));
    }
    const int n_layers = static_cast<int>(layers_.size());
    const std::int64_t first_segment = segments_.of_tile_row[task];
    for (int p = 0; p < static_cast<int>(pairs_.size()); ++p) {
        const auto [i, j] = pairs_[p];
        const bool own_i = first_pair_[i] == p, own_j = first_pair_[j] == p;
        launch("tile_sums", tile_sums<Real, 2>, grid, dim3(kEpilogueThreads), 0, stream,
               SumArgs<Real, 2>{
                   {tiles[i], tiles[j]},
                   place,
                   segments_.row_begin,
                   segments_.rows_of_cut,
                   segments_.n_col_segments,
                   first_segment,
                   {own_i ? partial(i) : nullptr, own_j ? partial(j) : nullptr, own_i ? partial(n_layers + i) : nullptr,
                    own_j ? partial(n_layers + j) : nullptr, partial(2 * n_layers + p)}});
    }
    for (int l = 0; l < n_layers; ++l) {
        if (first_pair_[l] < 0)
            launch("tile_sums", tile_sums<Real, 1>, grid, dim3(kEpilogueThreads), 0, stream,
                   SumArgs<Real, 1>{{tiles[l]},
                                    place,
                                    segments_.row_begin,
                                    segments_.rows_of_cut,
                                    segments_.n_col_segments,
                                    first_segment,
                                    {partial(l), partial(n_layers + l)}});
        if (memory_.rows != nullptr)
            launch("tile_row_sums", tile_row_sums<Real>, grid, dim3(kEpilogueThreads), 0, stream, tiles[l], place,
                   shape_.tile_rows, memory_.row_partial + l * n_strips() * shape_.tile_rows,
                   memory_.col_partial + l * (shape_.tile_rows / kStrip) * n_strips() * kStrip, n_strips() * kStrip);
    }
}

void PairSums::add_fused(std::int64_t task, cudaStream_t stream) {
    const int n_layers = static_cast<int>(layers_.size());
    clear_partial(memory_.partial, n_arrays() * partial_rows_ * segments_.n_col_segments, stream);
    for (int p = 0; p < static_cast<int>(pairs_.size()); ++p) {
        const auto [i, j] = pairs_[p];
        FusedSums sums{};
        sums.layers[0] = layers_[i];
        sums.layers[1] = layers_[j];
        sums.noise_scale = static_cast<float>(layers_[i].noise_scale);
        sums.metric = shape_.metric;
        sums.n = shape_.n_left;
        sums.first_row = task * shape_.tile_rows;
        sums.n_rows = std::min<std::int64_t>(shape_.tile_rows, sums.n - sums.first_row);
        sums.row_begin = segments_.row_begin;
        sums.rows_of_cut = segments_.rows_of_cut;
        sums.col_begin = segments_.col_begin;
        sums.cols_of_cut = segments_.cols_of_cut;
        sums.first_segment = segments_.of_tile_row[task];
        sums.n_col_segments = segments_.n_col_segments;
        const int arrays[] = {i, j, n_layers + i, n_layers + j, 2 * n_layers + p};
        for (int s = 0; s < 5; ++s) sums.out[s] = partial(arrays[s]);
        run_fused(sums, stream);
    }
}

void PairSums::fold(std::int64_t task, cudaStream_t stream) {
    FoldArgs args{};
    args.partial = memory_.partial;
    args.sums = memory_.sums;
    args.rows_of_block = segments_.rows_of_block;
    args.cols_of_block = segments_.cols_of_block;
    args.upper = !fused_;
    args.n_arrays = n_arrays();
    args.first_segment = segments_.of_tile_row[task];
    args.last_segment = segments_.of_tile_row[task + 1];
    args.n_segments = segments_.n_col_segments;
    args.partial_rows = partial_rows_;
    args.first_block = segments_.block_of_segment[args.first_segment];
    args.n_row_blocks = segments_.block_of_segment[args.last_segment - 1] - args.first_block + 1;
    args.n_blocks = segments_.n_blocks;
    launch("fold_sums", fold_sums, dim3(blocks_for(args.n_arrays * args.n_row_blocks * args.n_blocks, kEpilogueWarps)),
           dim3(kEpilogueThreads), 0, stream, args);
    if (memory_.rows == nullptr) return;
    const std::int64_t first_row = task * shape_.tile_rows, col_stride = n_strips() * kStrip;
    for (std::size_t l = 0; l < layers_.size(); ++l)
        launch("fold_rows", fold_rows, dim3(blocks_for(shape_.n_left - first_row, kEpilogueThreads)),
               dim3(kEpilogueThreads), 0, stream, memory_.row_partial + l * n_strips() * shape_.tile_rows,
               memory_.col_partial + l * (shape_.tile_rows / kStrip) * col_stride, col_stride, first_row,
               shape_.tile_rows, shape_.n_left, memory_.rows + l * shape_.n_left);
}

}  // namespace repsim::cuda
