#include "ranks/histogram.h"

#include <array>
#include <cmath>

namespace repsim {
namespace {

constexpr std::int64_t kMaxCells = std::int64_t{1} << 28;

std::vector<BinArgs> checked(std::vector<BinArgs> bins, std::size_t n_layers) {
    REPSIM_CHECK(bins.size() == n_layers,
                 "low and high must be numbers or one per layer: got " << bins.size() << " for " << n_layers);
    return bins;
}

std::int64_t joint_cells(const std::vector<BinArgs>& bins) {
    REPSIM_CHECK(!bins.empty() && bins.front().bins <= kMaxCells / bins.front().bins,
                 "a joint histogram has at most 2^14 x 2^14 cells: ask for fewer bins");
    return bins.front().bins * bins.front().bins;
}

// Calls use(values, count) for the entries of each row of a tile that hold a pair.
template <class Use>
void each_strip(const TileView& tile, std::int64_t r, const Use& use) {
    const std::int64_t begin = tile.first_valid(r), count = tile.n_cols - begin;
    if (count <= 0) return;
    if (tile.is_double)
        use(tile.row<double>(r) + begin, count);
    else
        use(tile.row<float>(r) + begin, count);
}

}  // namespace

BinArgs equal_bins(double low, double high, std::int64_t bins) {
    REPSIM_CHECK(bins >= 1 && bins <= kMaxCells, "bins must be between 1 and 2^28: got " << bins);
    const double scale = static_cast<double>(bins) / (high - low);
    REPSIM_CHECK(std::isfinite(low) && std::isfinite(scale) && scale > 0,
                 "bins need finite ends with low < high: got [" << low << ", " << high << ")");
    return {low, scale, bins};
}

HistogramSweep::HistogramSweep(std::vector<PanelsPtr> layers, Metric metric, std::vector<BinArgs> bins)
    : Sweep(std::move(layers), {}, metric),
      bins_(checked(std::move(bins), n_layers())),
      counts_(n_layers(), bins_.front().bins) {}

void HistogramSweep::reduce(const Task&, const std::vector<TileView>& bank, int worker) {
    const PairKernels& kernels = left(0).kernels();
    std::array<std::int32_t, kTileCols> strip;
    for (std::int64_t l = 0; l < n_layers(); ++l)
        for (std::int64_t r = 0; r < bank[l].n_rows; ++r)
            each_strip(bank[l], r, [&](const void* values, std::int64_t count) {
                kernels.bin(values, count, bins_[l], strip.data());
                counts_.add(worker, l, strip.data(), count);
            });
}

JointHistogramSweep::JointHistogramSweep(std::vector<PanelsPtr> layers,
                                         std::vector<std::pair<std::int64_t, std::int64_t>> pairs, Metric metric,
                                         std::vector<BinArgs> bins)
    : Sweep(std::move(layers), {}, metric),
      pairs_(std::move(pairs)),
      bins_(checked(std::move(bins), n_layers())),
      counts_(this->pairs(), joint_cells(bins_)) {
    for (auto [a, b] : pairs_)
        REPSIM_CHECK(a >= 0 && a < n_layers() && b >= 0 && b < n_layers(),
                     "a pair names two of the " << n_layers() << " layers: got (" << a << ", " << b << ")");
}

void JointHistogramSweep::prepare(int n_threads) {
    counts_.prepare(n_threads);
    while (strips_.size() < static_cast<std::size_t>(n_threads)) strips_.emplace_back(n_layers() * kTileCols);
}

void JointHistogramSweep::reduce(const Task&, const std::vector<TileView>& bank, int worker) {
    const PairKernels& kernels = left(0).kernels();
    std::int32_t* strips = strips_[worker].data();
    const auto n_bins = static_cast<std::int32_t>(bins());
    std::array<std::int32_t, kTileCols> cells;
    for (std::int64_t r = 0; r < bank.front().n_rows; ++r) {
        std::int64_t count = 0;
        for (std::int64_t l = 0; l < n_layers(); ++l)
            each_strip(bank[l], r, [&](const void* values, std::int64_t n_values) {
                kernels.bin(values, n_values, bins_[l], strips + l * kTileCols);
                count = n_values;
            });
        for (std::size_t p = 0; p < pairs_.size(); ++p) {
            const std::int32_t *a = strips + pairs_[p].first * kTileCols, *b = strips + pairs_[p].second * kTileCols;
            for (std::int64_t i = 0; i < count; ++i) cells[i] = a[i] * n_bins + b[i];
            counts_.add(worker, static_cast<std::int64_t>(p), cells.data(), count);
        }
    }
}

}  // namespace repsim
