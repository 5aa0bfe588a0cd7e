#include "tiles/tiles.h"

#include <algorithm>
#include <array>

#include "core/thread_pool.h"

namespace repsim {
namespace {

// Every nr divides it: tiles begin at panels whatever the instruction set.
constexpr std::int64_t kTileStep = 48;

// The size of all tiles but the last along n rows: equal shares, so that the last one is not narrow.
std::int64_t tile_size(std::int64_t n, std::int64_t largest) {
    const std::int64_t n_tiles = (n + largest - 1) / largest, share = (n + n_tiles - 1) / n_tiles;
    return (share + kTileStep - 1) / kTileStep * kTileStep;
}

void check_layers(const std::vector<PanelsPtr>& layers, const Panels& like, Metric metric) {
    for (const PanelsPtr& layer : layers) {
        REPSIM_CHECK(layer != nullptr, "layers must be Panels: got None");
        REPSIM_CHECK(layer->blocks() == layers.front()->blocks(), "layers must have the same rows and blocks");
        REPSIM_CHECK(layer->precision() == like.precision() && layer->isa() == like.isa(),
                     "layers must be packed in one precision, for one instruction set");
        REPSIM_CHECK(layer->precision() != TilePrecision::bf16 || metric == Metric::dot,
                     "bf16 rows make dot products alone: their shifted rows would not be the stored values");
    }
}

}  // namespace

TileView make_tile(const Panels& x, std::int64_t i, std::int64_t row, std::int64_t n_rows,  //
                   const Panels& y, std::int64_t j, std::int64_t col, std::int64_t n_cols,  //
                   bool diagonal, Metric metric, const NextTile& next, void* out) {
    REPSIM_ASSERT(n_rows <= kTileRows && n_cols <= kTileCols && row % kTileStep == 0 && col % kTileStep == 0);
    TileArgs args{};
    args.left = x.at(i, row);
    args.right = y.at(j, col);
    args.n_left = n_rows;
    args.n_right = n_cols;
    args.n_features = x.n_features();
    args.metric = metric;
    args.diagonal = diagonal;
    args.out = out;
    args.out_stride = kTileCols;
    args.next = next;
    x.kernels().tile(args);
    return TileView{out,
                    x.kernels().tile_bytes == sizeof(double),
                    diagonal,
                    kTileCols,
                    x.blocks()[i] + row,
                    n_rows,
                    y.blocks()[j] + col,
                    n_cols};
}

Sweep::Sweep(std::vector<PanelsPtr> left, std::vector<PanelsPtr> right, Metric metric)
    : left_(std::move(left)), right_(std::move(right)), metric_(metric) {
    REPSIM_CHECK(!left_.empty() && left_.front() != nullptr, "a sweep needs at least one layer");
    check_layers(left_, *left_.front(), metric);
    if (!symmetric()) {
        REPSIM_CHECK(right_.size() == left_.size(), "a sweep between two sets of rows needs as many layers of each");
        check_layers(right_, *left_.front(), metric);
        for (std::size_t l = 0; l < left_.size(); ++l)
            REPSIM_CHECK(left_[l]->n_features() == right_[l]->n_features(),
                         "both sets of rows must have the same features: got " << left_[l]->n_features() << " and "
                                                                               << right_[l]->n_features());
    }
    for (std::int64_t i = 0; i < this->left(0).n_blocks(); ++i)
        for (std::int64_t j = symmetric() ? i : 0; j < this->right(0).n_blocks(); ++j)
            tasks_.push_back({static_cast<std::int64_t>(tasks_.size()), i, j});
    done_.assign(tasks_.size(), false);
}

TileView Sweep::make_by(Metric metric, std::int64_t layer, const Task& task, const Place& at, const Next& next,
                        void* out) {
    const NextTile ahead{left(next.layer).at(next.i, next.row).values, right(next.layer).at(next.j, next.col).values,
                         left(next.layer).n_features()};
    return make_tile(left(layer), task.i, at.row, at.n_rows, right(layer), task.j, at.col, at.n_cols, at.diagonal,
                     metric, ahead, out);
}

TileView Sweep::make(std::int64_t layer, const Task& task, const Place& at, const Next& next, void* out,
                     int /*worker*/) {
    return make_by(metric_, layer, task, at, next, out);
}

bool Sweep::complete() const {
    return std::all_of(done_.begin(), done_.end(), [](bool done) { return done; });
}

void Sweep::run_task(const Task& task, const Task& likely_next, int worker, std::vector<AlignedBuffer<char>>& buffers) {
    const auto rows_of = [](const Panels& panels, std::int64_t block) {
        return panels.blocks()[block + 1] - panels.blocks()[block];
    };
    const std::int64_t n_rows = rows_of(left(0), task.i), n_cols = rows_of(right(0), task.j);
    const std::int64_t height = tile_size(n_rows, kTileRows), width = tile_size(n_cols, kTileCols);
    const bool diagonal_block = symmetric() && task.i == task.j;
    const auto first_col = [&](std::int64_t row) { return diagonal_block ? row : 0; };
    std::vector<TileView> bank(left_.size());
    begin_task(task, worker);
    for (std::int64_t row = 0; row < n_rows; row += height)
        for (std::int64_t col = first_col(row); col < n_cols; col += width) {
            for (std::int64_t l = 0; l < n_layers(); ++l) {
                const Place here{row, std::min(height, n_rows - row), col, std::min(width, n_cols - col),
                                 diagonal_block && row == col};
                Next next{0, task.i, row, task.j, col};
                if (l + 1 < n_layers())
                    next.layer = l + 1;
                else if (col + width < n_cols)
                    next.col = col + width;
                else if (row + height < n_rows)
                    next = {0, task.i, row + height, task.j, first_col(row + height)};
                else
                    next = {0, likely_next.i, 0, likely_next.j, 0};
                bank[l] = make(l, task, here, next, buffers[l].data(), worker);
            }
            reduce(task, bank, worker);
        }
    end_task(task, worker);
}

void Sweep::run(std::int64_t begin, std::int64_t end, int n_threads) {
    REPSIM_CHECK(0 <= begin && begin <= end && end <= n_tasks(),
                 "tasks must be a range within [0, " << n_tasks() << "): got [" << begin << ", " << end << ")");
    REPSIM_CHECK(n_threads >= 1, "a sweep needs at least one thread: got " << n_threads);
    REPSIM_CHECK(std::none_of(done_.begin() + begin, done_.begin() + end, [](bool done) { return done; }),
                 "tasks run once: some of [" << begin << ", " << end << ") have been run");
    const std::size_t tile_bytes = kTileRows * kTileCols * left(0).kernels().tile_bytes;
    while (buffers_.size() < static_cast<std::size_t>(n_threads)) {
        std::vector<AlignedBuffer<char>> bank;
        for (std::int64_t l = 0; l < n_layers(); ++l) bank.emplace_back(tile_bytes);
        buffers_.push_back(std::move(bank));
    }
    prepare(n_threads);
    std::fill(done_.begin() + begin, done_.begin() + end, true);
    parallel_for(end - begin, n_threads, [&](std::int64_t index, int worker) {
        const std::int64_t later = std::min(begin + index + n_threads, n_tasks() - 1);
        run_task(tasks_[begin + index], tasks_[later], worker, buffers_[worker]);
    });
    finish();
}

}  // namespace repsim
