#include "tiles/sum_sweep.h"

#include <algorithm>
#include <cmath>

namespace repsim {
namespace {

// Rows of a tile that are summed together: as many as leave the strips of a few layers in the first-level cache, and
// the same however many layers there are, so that the sums of a pair do not depend on other pairs.
constexpr std::int64_t kStripRows = 4;

}  // namespace

SumSweep::SumSweep(std::vector<PanelsPtr> layers, std::vector<std::pair<std::int64_t, std::int64_t>> pairs,
                   Metric metric, std::vector<EntryMap> maps, bool row_sums)
    : Sweep(std::move(layers), {}, metric), pairs_(std::move(pairs)), maps_(std::move(maps)), row_sums_(row_sums) {
    REPSIM_CHECK(static_cast<std::int64_t>(maps_.size()) == n_layers(),
                 "maps and origins must be one per layer: got " << maps_.size() << " for " << n_layers());
    for (auto [a, b] : pairs_)
        REPSIM_CHECK(a >= 0 && a < n_layers() && b >= 0 && b < n_layers(),
                     "a pair names two of the " << n_layers() << " layers: got (" << a << ", " << b << ")");
    for (EntryMap& map : maps_) {
        REPSIM_CHECK(std::isfinite(map.args.origin), "origins must be finite: got " << map.args.origin);
        if (map.args.kind == MapKind::rbf || map.args.kind == MapKind::expm1)
            REPSIM_CHECK(metric == Metric::sqeuclidean && map.args.gamma >= 0 && std::isfinite(map.args.gamma),
                         "rbf and expm1 are exp(-gamma v), less 1, of metric sqeuclidean with gamma >= 0: got gamma "
                             << map.args.gamma);
        if (map.args.kind == MapKind::table)
            REPSIM_CHECK(!map.table.empty() && map.table.size() < (1u << 31) && std::isfinite(map.args.low) &&
                             map.args.scale > 0 && std::isfinite(map.args.scale),
                         "a table needs values and finite ends with low < high");
        map.args.table = map.table.data();
        map.args.bins = static_cast<std::int64_t>(map.table.size());
    }
    const std::int64_t cells = n_blocks() * n_blocks();
    entries_.assign(cells, 0.0);
    first_.assign(n_layers() * cells, 0.0);
    second_.assign(n_layers() * cells, 0.0);
    cross_.assign(this->pairs() * cells, 0.0);
    if (row_sums_) rows_.assign(n_layers() * n_rows(), 0.0);
    plan_products();
}

void SumSweep::plan_products() {
    std::vector<Products> of_layer(n_layers());
    for (std::int64_t l = 0; l < n_layers(); ++l) of_layer[l] = Products{l, {l}, {kWithItself}};
    for (std::int64_t p = 0; p < pairs(); ++p) {
        of_layer[pairs_[p].first].others.push_back(pairs_[p].second);
        of_layer[pairs_[p].first].pairs.push_back(p);
    }
    for (const Products& all : of_layer)
        for (std::size_t begin = 0; begin < all.others.size(); begin += kMostDots) {
            const std::size_t end = std::min<std::size_t>(begin + kMostDots, all.others.size());
            products_.push_back(Products{all.layer,
                                         {all.others.begin() + begin, all.others.begin() + end},
                                         {all.pairs.begin() + begin, all.pairs.begin() + end}});
        }
}

void SumSweep::prepare(int n_threads) {
    if (workers_.size() < static_cast<std::size_t>(n_threads)) workers_.resize(n_threads);
    for (Worker& worker : workers_)
        if (worker.strips.size() == 0) worker.strips = AlignedBuffer<double>(n_layers() * kStripRows * kTileCols);
}

void SumSweep::begin_task(const Task& task, int worker) {
    Worker& own = workers_[worker];
    own.entries = 0;
    own.first.assign(n_layers(), 0.0);
    own.second.assign(n_layers(), 0.0);
    own.cross.assign(pairs_.size(), 0.0);
    if (!row_sums_) return;
    const auto& blocks = left(0).blocks();
    own.row_sums.assign(n_layers() * (blocks[task.i + 1] - blocks[task.i]), 0.0);
    own.col_sums.assign(n_layers() * (blocks[task.j + 1] - blocks[task.j]), 0.0);
}

void SumSweep::reduce(const Task& task, const std::vector<TileView>& bank, int worker) {
    Worker& own = workers_[worker];
    const PairKernels& kernels = left(0).kernels();
    const auto& blocks = left(0).blocks();
    const std::int64_t rows_i = blocks[task.i + 1] - blocks[task.i], rows_j = blocks[task.j + 1] - blocks[task.j];
    const TileView& shape = bank.front();
    static_assert(kTileCols % kStripStep == 0);
    for (std::int64_t first_row = 0; first_row < shape.n_rows; first_row += kStripRows) {
        const std::int64_t end_row = std::min(shape.n_rows, first_row + kStripRows);
        std::int64_t count = 0;
        for (std::int64_t l = 0; l < n_layers(); ++l) {
            double* strip = own.strips.data() + l * kStripRows * kTileCols;
            count = 0;
            for (std::int64_t r = first_row; r < end_row; ++r) {
                const std::int64_t begin = shape.first_valid(r), n = shape.n_cols - begin;
                if (n <= 0) break;
                const char* values = static_cast<const char*>(bank[l].values) +
                                     (r * bank[l].stride + begin) * static_cast<std::int64_t>(kernels.tile_bytes);
                kernels.map(values, n, maps_[l].args, strip + count);
                if (row_sums_) {
                    own.row_sums[l * rows_i + shape.first_row - blocks[task.i] + r] += kernels.sum(strip + count, n);
                    kernels.add(strip + count, n,
                                own.col_sums.data() + l * rows_j + shape.first_col - blocks[task.j] + begin);
                }
                count += n;
            }
            own.first[l] += kernels.sum(strip, count);
            for (std::int64_t pad = count; pad % kStripStep != 0; ++pad) strip[pad] = 0;
        }
        own.entries += static_cast<double>(count);
        add_products((count + kStripStep - 1) / kStripStep * kStripStep, own);
    }
}

void SumSweep::add_products(std::int64_t count, Worker& own) const {
    const std::int64_t stride = kStripRows * kTileCols;
    for (const Products& products : products_) {
        const double* others[kMostDots];
        double sums[kMostDots];
        const int n = static_cast<int>(products.others.size());
        for (int m = 0; m < n; ++m) others[m] = own.strips.data() + products.others[m] * stride;
        left(0).kernels().dots(own.strips.data() + products.layer * stride, others, n, count, sums);
        for (int m = 0; m < n; ++m)
            (products.pairs[m] == kWithItself ? own.second[products.layer] : own.cross[products.pairs[m]]) += sums[m];
    }
}

void SumSweep::end_task(const Task& task, int worker) {
    Worker& own = workers_[worker];
    const std::int64_t cells = n_blocks() * n_blocks(), cell = task.i * n_blocks() + task.j;
    entries_[cell] = own.entries;
    for (std::int64_t l = 0; l < n_layers(); ++l) {
        first_[l * cells + cell] = own.first[l];
        second_[l * cells + cell] = own.second[l];
    }
    for (std::size_t p = 0; p < pairs_.size(); ++p) cross_[p * cells + cell] = own.cross[p];
    if (!row_sums_) return;
    std::lock_guard<std::mutex> lock(margins_mutex_);
    waiting_.emplace(task.index, std::pair{task, Margins{std::move(own.row_sums), std::move(own.col_sums)}});
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_task_; ++next_task_) {
        add_margins(first->second.first, first->second.second);
        first = waiting_.erase(first);
    }
}

void SumSweep::add_margins(const Task& task, const Margins& margins) {
    const auto& blocks = left(0).blocks();
    for (const auto& [block, sums] : {std::pair{task.i, &margins.first}, std::pair{task.j, &margins.second}}) {
        const std::int64_t begin = blocks[block], count = blocks[block + 1] - begin;
        for (std::int64_t l = 0; l < n_layers(); ++l)
            for (std::int64_t r = 0; r < count; ++r) rows_[l * n_rows() + begin + r] += (*sums)[l * count + r];
    }
}

}  // namespace repsim
