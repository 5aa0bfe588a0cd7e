#include <algorithm>
#include <limits>

#include "neighbours/screened_sweep.h"
#include "tiles/tiles.h"

namespace repsim {

void screening_bounds(const PanelsPtr& x, Metric metric, float* low, float* high, float* entry) {
    REPSIM_CHECK(can_screen(*x, metric), "rows packed like this, or this metric, cannot be screened");
    const ScreenKernels& kernels = *screen_kernels(x->isa());
    const ErrorShares errors = error_shares(x->n_features(), kernels);
    const ScreenedRows rows(x, metric, 1);
    const std::int64_t n = x->n_rows();
    auto limit = AlignedBuffer<float>::uninitialised(kTileRows);
    std::fill_n(limit.data(), kTileRows, std::numeric_limits<float>::infinity());
    auto products = AlignedBuffer<float>::uninitialised(kTileRows * kTileCols);
    std::vector<Hit> hits(kTileRows * kTileCols);
    const std::vector<std::int64_t>& blocks = x->blocks();
    for (std::int64_t i = 0; i < x->n_blocks(); ++i)
        for (std::int64_t j = 0; j < x->n_blocks(); ++j) {
            ScreenArgs args{};
            args.tile.left = rows.at(i, 0);
            args.tile.right = rows.at(j, 0);
            args.tile.n_left = blocks[i + 1] - blocks[i];
            args.tile.n_right = blocks[j + 1] - blocks[j];
            REPSIM_CHECK(args.tile.n_left <= kTileRows && args.tile.n_right <= kTileCols, "a block must fit a tile");
            args.tile.n_features = rows.n_pairs();
            args.tile.out = products.data();
            args.tile.out_stride = kTileCols;
            args.tile.next = {args.tile.left.values, args.tile.right.values, rows.n_pairs()};
            args.row_limits = args.col_limits = limit.data();
            args.errors = errors;
            args.hits = hits.data();
            const std::int64_t n_hits = kernels.screen(args);
            REPSIM_ASSERT(n_hits == args.tile.n_left * args.tile.n_right);
            for (std::int64_t h = 0; h < n_hits; ++h) {
                const std::int64_t row = blocks[i] + hits[h].row, col = blocks[j] + hits[h].col;
                const ScreenedRows::Row u = rows.row(row), v = rows.row(col);
                low[row * n + col] = hits[h].low;
                high[row * n + col] = hits[h].high;
                EntryArgs one{u.values,
                              &v.values,
                              1,
                              x->n_features(),
                              u.half_square,
                              &v.half_square,
                              squares_count(metric),
                              entry + row * n + col};
                kernels.entries(one);
            }
        }
}

}  // namespace repsim
