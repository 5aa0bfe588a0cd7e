// The k nearest rows, by heaps and by screening, against sorting of the same distances: equal lists, equal bits.
#include <algorithm>
#include <stdexcept>

#include "layers.h"
#include "neighbours/screened_sweep.h"
#include "tiles/distance_sweep.h"

using namespace repsim;
using namespace repsim::fuzzing;

namespace {

using Lists = std::vector<std::vector<Neighbour>>;

template <class T>
Lists lists_of(NeighbourSweep& sweep, std::int64_t split, int n_threads) {
    sweep.run(split, sweep.n_tasks(), n_threads);
    sweep.run(0, split, n_threads);
    const std::int64_t n = sweep.n_rows(), k = sweep.k();
    std::vector<std::int64_t> indices(static_cast<std::size_t>(n * k), -9);
    std::vector<T> values(static_cast<std::size_t>(n * k));
    sweep.read(indices.data(), values.data());
    Lists lists(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n * k; ++i)
        lists[static_cast<std::size_t>(i / k)].push_back({static_cast<double>(values[i]), indices[i]});
    return lists;
}

Lists sorted(const PanelsPtr& x, const PanelsPtr& y, Metric metric, std::int64_t k) {
    const std::int64_t n = x->n_rows(), m = y ? y->n_rows() : n;
    std::vector<double> out(static_cast<std::size_t>(y ? n * m : n * (n - 1) / 2));
    DistanceSweep sweep(x, y, metric, out.data(), true, static_cast<std::int64_t>(out.size()));
    sweep.run(0, sweep.n_tasks(), 1);
    Lists lists(static_cast<std::size_t>(n));
    const double sign = metric == Metric::dot ? -1 : 1;
    std::size_t at = 0;
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = y ? 0 : i + 1; j < m; ++j, ++at) {
            lists[i].push_back({sign * out[at], j});
            if (!y) lists[j].push_back({sign * out[at], i});
        }
    for (auto& list : lists) {
        std::sort(list.begin(), list.end());
        list.resize(static_cast<std::size_t>(k));
        for (Neighbour& one : list) one.value *= sign;
    }
    return lists;
}

void expect_same(const Lists& found, const Lists& due, const char* how) {
    for (std::size_t i = 0; i < due.size(); ++i)
        for (std::size_t j = 0; j < due[i].size(); ++j)
            EXPECT(found[i][j].index == due[i][j].index && found[i][j].value == due[i][j].value,
                   "%s: row %zu has (%.17g, %ld) instead of (%.17g, %ld) as neighbour %zu", how, i, found[i][j].value,
                   found[i][j].index, due[i][j].value, due[i][j].index, j);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const Isa isa = input.byte() % 2 == 0 ? available_isas().back() : any_isa(input);
    const bool is_double = input.byte() % 4 == 0;
    const auto precision = is_double ? TilePrecision::fp64 : TilePrecision::fp32;
    const auto metric = static_cast<Metric>(input.number(0, 7));
    const std::int64_t n = input.number(1, input.one_of({4, 30, 200, 450})), m = input.number(0, 90);
    const std::int64_t d = input.number(1, input.one_of({3, 20, 90}));
    const RowTransform transform = transform_of(metric);
    Numbers numbers(input, any_kind(input));
    const Rows x = any_rows(input, numbers, n, d, any_dtype(input), true, true);
    const Rows y = any_rows(input, numbers, m, d, any_dtype(input), true, true);
    PanelsPtr left, right;
    try {
        std::vector<double> shift;
        if (metric != Metric::dot) shift = mean_row(x.view, transform, 1, isa);
        left = std::make_shared<Panels>(x.view, transform, shift, precision, any_blocks(input, n), 1, isa);
        if (m > 0) right = std::make_shared<Panels>(y.view, transform, shift, precision, any_blocks(input, m), 1, isa);
    } catch (const std::invalid_argument&) {
        return 0;
    }
    const std::int64_t available = right ? m : n - 1;
    if (available == 0) return 0;
    const std::int64_t k = input.number(1, std::min<std::int64_t>(available, input.one_of({1, 10, 500})));
    const int n_threads = static_cast<int>(input.number(1, 3));
    const Lists due = sorted(left, right, metric, k);
    HeapSweep heaps(left, right, metric, k);
    const std::int64_t split = input.number(0, heaps.n_tasks());
    expect_same(is_double ? lists_of<double>(heaps, split, n_threads) : lists_of<float>(heaps, split, n_threads), due,
                "heaps");
    if (!can_screen(*left, metric)) return 0;
    ScreenedSweep screened(left, right, metric, k);
    expect_same(lists_of<float>(screened, split, n_threads), due, "screening");
    return 0;
}
