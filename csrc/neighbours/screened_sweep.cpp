#include "neighbours/screened_sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/thread_pool.h"

namespace repsim {
namespace {

const ScreenKernels* checked_kernels(const PanelsPtr& x, Metric metric) {
    REPSIM_CHECK(x != nullptr, "layers must be Panels: got None");
    REPSIM_CHECK(can_screen(*x, metric),
                 "screening needs float32 panels, a processor with AVX512_BF16 and a metric of products");
    return screen_kernels(x->isa());
}

// In the time that a pair takes in a float32 tile, of which screening saves nearly half. Measured on Zen 4: README.md.
constexpr double kSaved = 0.45, kComputed = 18, kNarrowed = 150;
double cost_of_hit(std::int64_t n_features) { return 2300.0 / static_cast<double>(n_features); }

// Of a row among normal rows: a k-th nearest falls 2 k (1 + log(m / k)) times or so, and twice k are computed.
double cost_of_row(std::int64_t k, std::int64_t n_others, std::int64_t n_features) {
    const auto wanted = static_cast<double>(k);
    const double hits = 2 * wanted * (1 + std::log(static_cast<double>(n_others) / wanted));
    return hits * cost_of_hit(n_features) + 2 * wanted * kComputed + kNarrowed;
}

bool bounded(Metric metric) {
    return metric == Metric::cosine || metric == Metric::correlation || metric == Metric::angular;
}

}  // namespace

bool screening_pays(const Panels& x, const Panels& y, Metric metric, std::int64_t k) {
    constexpr std::int64_t kFewFeatures = 64;
    if (!can_screen(x, metric) || x.n_features() <= kFewFeatures || k < 1 || k >= y.n_rows()) return false;
    const bool symmetric = &x == &y;
    const auto n = static_cast<double>(x.n_rows()), m = static_cast<double>(y.n_rows());
    const double cost = n * cost_of_row(k, y.n_rows(), x.n_features()) + (symmetric ? 0 : m * kNarrowed);
    return cost < kSaved * n * m / (symmetric ? 2 : 1);
}

ScreenedSweep::ScreenedSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, std::int64_t k)
    : NeighbourSweep(x, y, metric, k),
      x_(x),
      y_(y),
      kernels_(checked_kernels(x, metric)),
      errors_(error_shares(x->n_features(), *kernels_)),
      lists_(
          x->n_rows(), k, bounded(metric),
          [this](std::int64_t row, Candidate* list, std::int64_t count) { compute(row, list, count); },
          [this](float* values, std::int64_t count) { kernels_->finish(this->metric(), values, count); }) {
    block_mutexes_ = std::make_unique<std::mutex[]>(x->n_blocks());
}

void ScreenedSweep::prepare(int n_threads) {
    n_threads_ = n_threads;
    if (workers_.size() < static_cast<std::size_t>(n_threads)) workers_.resize(n_threads);
    for (Worker& own : workers_) own.hits.resize(kTileRows * kTileCols);
    if (left_rows_) return;
    left_rows_ = std::make_unique<ScreenedRows>(x_, metric(), n_threads);
    if (y_ && y_ != x_) right_rows_ = std::make_unique<ScreenedRows>(y_, metric(), n_threads);
}

// The cost of reaching a first limit is not counted, with a factor of two as margin.
bool ScreenedSweep::too_many() const {
    const std::int64_t n_features = x_->n_features();
    const auto hits = static_cast<double>(hits_), computed = static_cast<double>(computed_);
    const double cost = cost_of_hit(n_features) * hits + kComputed * computed;
    const double usual = cost_of_row(k(), right(0).n_rows(), n_features) * static_cast<double>(n_rows());
    return cost > kSaved * static_cast<double>(screened_) + 2 * usual;
}

void ScreenedSweep::begin_task(const Task&, int worker) { workers_[worker].screens = !too_many(); }

// Without limits every pair is a hit, so the first tile of a row is made in parts, and each part uses the limits from
// the parts before it.
TileView ScreenedSweep::make(std::int64_t layer, const Task& task, const Place& at, const Next& next, void* out,
                             int worker) {
    Worker& own = workers_[worker];
    const std::int64_t entries = at.diagonal ? at.n_rows * (at.n_rows - 1) / 2 : at.n_rows * at.n_cols;
    (own.screens ? screened_ : unscreened_) += entries;
    if (!own.screens) {
        const Metric by = metric() == Metric::dot ? Metric::dot : Metric::sqeuclidean;
        return make_by(by, layer, task, at, next, out);
    }
    const std::int64_t nr = x_->kernels().nr;
    const bool new_rows = has_no_limit(task.i, left(0).blocks()[task.i] + at.row, at.n_rows);
    const bool new_cols = symmetric() && has_no_limit(task.j, right(0).blocks()[task.j] + at.col, at.n_cols);
    const std::int64_t height = new_cols ? nr : kTileRows, width = new_rows ? nr : kTileCols;
    for (std::int64_t row = 0; row < at.n_rows; row += height)
        for (std::int64_t col = at.diagonal ? row / width * width : 0; col < at.n_cols; col += width) {
            const Place part{at.row + row, std::min(height, at.n_rows - row), at.col + col,
                             std::min(width, at.n_cols - col), at.diagonal && row == col};
            screen(task, part, next, out, own);
        }
    return TileView{};
}

void ScreenedSweep::screen(const Task& task, const Place& at, const Next& next, void* out, Worker& own) {
    alignas(64) std::array<float, kTileRows> row_limits;
    alignas(64) std::array<float, kTileCols> col_limits;
    row_limits.fill(-std::numeric_limits<float>::infinity());
    col_limits.fill(-std::numeric_limits<float>::infinity());
    const std::int64_t first_row = left(0).blocks()[task.i] + at.row, first_col = right(0).blocks()[task.j] + at.col;
    copy_limits(task.i, first_row, at.n_rows, row_limits.data());
    if (symmetric()) copy_limits(task.j, first_col, at.n_cols, col_limits.data());
    ScreenArgs args{};
    args.tile.left = left_rows_->at(task.i, at.row);
    args.tile.right = right_rows().at(task.j, at.col);
    args.tile.n_left = at.n_rows;
    args.tile.n_right = at.n_cols;
    args.tile.n_features = left_rows_->n_pairs();
    args.tile.diagonal = at.diagonal;
    args.tile.out = out;
    args.tile.out_stride = kTileCols;
    args.tile.next = {left_rows_->at(next.i, next.row).values, right_rows().at(next.j, next.col).values,
                      left_rows_->n_pairs()};
    args.row_limits = row_limits.data();
    args.col_limits = col_limits.data();
    args.errors = errors_;
    args.hits = own.hits.data();
    const Hit* const end = args.hits + kernels_->screen(args);
    hits_ += end - args.hits;
    if (args.hits == end) return;
    {
        std::lock_guard<std::mutex> lock(block_mutexes_[task.i]);
        for (const Hit* hit = args.hits; hit != end; ++hit)
            lists_.add(first_row + hit->row, first_col + hit->col, hit->low, hit->high);
    }
    if (!symmetric()) return;
    std::lock_guard<std::mutex> lock(block_mutexes_[task.j]);
    for (const Hit* hit = args.hits; hit != end; ++hit)
        lists_.add(first_col + hit->col, first_row + hit->row, hit->low, hit->high);
}

void ScreenedSweep::reduce(const Task& task, const std::vector<TileView>& bank, int worker) {
    if (!workers_[worker].screens) offer_tile(task, bank.front());
}

// Entries of a float32 tile are exact: low = high.
void ScreenedSweep::offer_tile(const Task& task, const TileView& tile) {
    std::array<float, kTileCols> entries;
    const float scale = metric() == Metric::dot ? -1.0f : 0.5f;
    std::vector<std::pair<std::int64_t, Candidate>> for_cols;
    alignas(64) std::array<float, kTileCols> col_limits;
    if (symmetric()) copy_limits(task.j, tile.first_col, tile.n_cols, col_limits.data());
    {
        std::array<std::int32_t, kTileCols> places;
        const PairKernels& kernels = x_->kernels();
        std::lock_guard<std::mutex> lock(block_mutexes_[task.i]);
        for (std::int64_t r = 0; r < tile.n_rows; ++r) {
            const std::int64_t begin = tile.first_valid(r), count = tile.n_cols - begin, row = tile.first_row + r;
            if (count <= 0) break;
            const float* values = tile.row<float>(r) + begin;
            for (std::int64_t i = 0; i < count; ++i) entries[i] = scale * values[i];
            const float limit = lists_.limit(row);
            const std::int64_t n_near = kernels.select(entries.data(), &limit, true, count, places.data());
            for (std::int64_t i = 0; i < n_near; ++i) {
                const float entry = entries[places[i]];
                lists_.add(row, tile.first_col + begin + places[i], entry, entry);
            }
            if (!symmetric()) continue;
            const std::int64_t n_nearer =
                kernels.select(entries.data(), &col_limits[begin], false, count, places.data());
            for (std::int64_t i = 0; i < n_nearer; ++i) {
                const float entry = entries[places[i]];
                for_cols.push_back({tile.first_col + begin + places[i], {row, entry, entry}});
            }
        }
    }
    if (!symmetric()) return;  // blocks of y have no mutexes
    std::lock_guard<std::mutex> lock(block_mutexes_[task.j]);
    for (const auto& [col, known] : for_cols) lists_.add(col, known.index, known.low, known.high);
}

void ScreenedSweep::copy_limits(std::int64_t block, std::int64_t first, std::int64_t count, float* out) const {
    std::lock_guard<std::mutex> lock(block_mutexes_[block]);
    for (std::int64_t r = 0; r < count; ++r) out[r] = lists_.limit(first + r);
}

bool ScreenedSweep::has_no_limit(std::int64_t block, std::int64_t first, std::int64_t count) const {
    std::lock_guard<std::mutex> lock(block_mutexes_[block]);
    for (std::int64_t r = 0; r < count; ++r)
        if (lists_.limit(first + r) == std::numeric_limits<float>::infinity()) return true;
    return false;
}

void ScreenedSweep::compute(std::int64_t row, Candidate* list, std::int64_t count) {
    std::array<const float*, kMostEntries> others;
    std::array<float, kMostEntries> half_squares, entries;
    const ScreenedRows::Row u = left_rows_->row(row);
    EntryArgs args{};
    args.row = u.values;
    args.others = others.data();
    args.n_features = x_->n_features();
    args.half_square = u.half_square;
    args.half_squares = half_squares.data();
    args.squares_count = squares_count(metric());
    args.out = entries.data();
    for (std::int64_t first = 0; first < count; first += kMostEntries) {
        args.count = std::min(kMostEntries, count - first);
        for (std::int64_t c = 0; c < args.count; ++c) {
            const ScreenedRows::Row v = right_rows().row(list[first + c].index);
            others[c] = v.values;
            half_squares[c] = v.half_square;
        }
        kernels_->entries(args);
        for (std::int64_t c = 0; c < args.count; ++c) list[first + c].low = list[first + c].high = entries[c];
    }
    computed_ += count;
}

void ScreenedSweep::finish() {
    if (!complete()) return;
    constexpr std::int64_t kRowsPerPart = 64;
    indices_.resize(n_rows() * k());
    values_.resize(n_rows() * k());
    const float sign = metric() == Metric::dot ? -1.0f : 1.0f;
    parallel_for((n_rows() + kRowsPerPart - 1) / kRowsPerPart, n_threads_, [&](std::int64_t part, int) {
        for (std::int64_t row = part * kRowsPerPart; row < std::min(n_rows(), (part + 1) * kRowsPerPart); ++row) {
            float* values = values_.data() + row * k();
            const Candidate* list = lists_.settle(row, values);
            for (std::int64_t i = 0; i < k(); ++i) {
                values[i] *= sign;
                indices_[row * k() + i] = list[i].index;
            }
        }
    });
}

void ScreenedSweep::read(std::int64_t* indices, void* values) {
    REPSIM_CHECK(complete(), "neighbours are known when every task has been run");
    std::copy(indices_.begin(), indices_.end(), indices);
    std::copy(values_.begin(), values_.end(), static_cast<float*>(values));
}

ScreenCounts ScreenedSweep::counts() const { return {screened_, unscreened_, hits_, computed_}; }

}  // namespace repsim
