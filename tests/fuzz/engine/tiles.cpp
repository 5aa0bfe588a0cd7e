// Distances between rows of every layout and size against loops; sums and histograms of tiles against the distances.
#include <algorithm>
#include <stdexcept>

#include "layers.h"
#include "ranks/histogram.h"
#include "tiles/distance_sweep.h"
#include "tiles/sum_sweep.h"

using namespace repsim;
using namespace repsim::fuzzing;

namespace {

std::vector<double> distances(const PanelsPtr& x, const PanelsPtr& y, Metric metric, Input& input) {
    const std::int64_t n = x->n_rows(), count = y ? n * y->n_rows() : n * (n - 1) / 2;
    std::vector<double> out(static_cast<std::size_t>(count), std::nan(""));
    DistanceSweep sweep(x, y, metric, out.data(), true, count);
    const std::int64_t half = input.number(0, sweep.n_tasks());
    sweep.run(half, sweep.n_tasks(), static_cast<int>(input.number(1, 3)));
    sweep.run(0, half, static_cast<int>(input.number(1, 3)));
    return out;
}

// Rows as packed: transformed, shifted and rounded to the tile's type.
std::vector<std::vector<double>> packed(const Rows& rows, RowTransform transform, const std::vector<double>& shift,
                                        TilePrecision precision, Isa isa) {
    std::vector<std::vector<double>> result;
    for (std::int64_t i = 0; i < rows.view.rows; ++i) {
        std::vector<double> row;
        std::vector<char> dense;
        const std::int64_t d = rows.view.cols, size = static_cast<std::int64_t>(size_of(rows.view.dtype));
        dense.resize(static_cast<std::size_t>(d * size));
        for (std::int64_t j = 0; j < d; ++j)
            std::memcpy(dense.data() + j * size, rows.view.row(i) + j * rows.view.col_stride, size);
        row.resize(static_cast<std::size_t>(d));
        kernels(isa, Precision::fp64).read_row(dense.data(), rows.view.dtype, d, transform, row.data());
        for (std::int64_t j = 0; j < d; ++j) {
            if (!shift.empty()) row[j] -= shift[j];
            if (precision != TilePrecision::fp64)
                row[j] = rounded(row[j], precision == TilePrecision::bf16 ? DType::bf16 : DType::f32);
        }
        result.push_back(std::move(row));
    }
    return result;
}

// `got` by the definition of the metric, with a bound on the rounding of sums in the tile's type.
void check_entry(Metric metric, const std::vector<double>& u, const std::vector<double>& v, double got, double unit,
                 double tiny) {
    double products = 0, squares = 0, sizes = 0, sum = 0, largest = 0, magnitudes = 0;
    for (std::size_t k = 0; k < u.size(); ++k) {
        products += u[k] * v[k], sizes += u[k] * u[k] + v[k] * v[k];
        squares += (u[k] - v[k]) * (u[k] - v[k]);
        sum += std::abs(u[k] - v[k]), magnitudes += std::abs(u[k]) + std::abs(v[k]);
        largest = std::max(largest, std::abs(u[k] - v[k]));
    }
    const double d = static_cast<double>(u.size()), bound = (std::min(d, 128.0) + d / 128 + 16) * unit;
    const auto near = [&](double value, double due, double error) {
        EXPECT(std::abs(value - due) <= error, "%.17g instead of %.17g, bound %g, metric %d", value, due, error,
               static_cast<int>(metric));
    };
    const double tiny_squares = d * tiny;
    switch (metric) {
        case Metric::dot: return near(got, products, bound * sizes + tiny_squares);
        case Metric::sqeuclidean: return near(got, squares, bound * sizes + tiny_squares);
        case Metric::euclidean: return near(got * got, squares, bound * (sizes + squares) + tiny_squares);
        case Metric::cosine:
        case Metric::correlation: return near(got, std::min(2.0, squares / 2), bound * sizes + tiny_squares);
        case Metric::angular: {
            const double sine = std::sin(got * M_PI / 2);
            return near(2 * sine * sine, std::min(2.0, squares / 2), 2 * bound * sizes + tiny_squares + 4 * unit);
        }
        case Metric::manhattan: return near(got, sum, bound * magnitudes + d * tiny);
        case Metric::chebyshev: return near(got, largest, 2 * unit * magnitudes + tiny);
    }
}

void check_sums(const PanelsPtr& x, Metric metric, const std::vector<double>& entries, Input& input) {
    const int n_threads = static_cast<int>(input.number(1, 3));
    SumSweep sweep({x, x}, {{0, 1}}, metric, {EntryMap{}, EntryMap{}}, input.byte() % 2 == 0);
    sweep.run(0, sweep.n_tasks(), n_threads);
    double count = 0, first = 0, second = 0, cross = 0, due_first = 0, due_second = 0, size = 0;
    const auto cells = static_cast<std::size_t>(x->n_blocks() * x->n_blocks());
    for (std::size_t i = 0; i < cells; ++i)
        count += sweep.entries()[i], first += sweep.first()[i], second += sweep.second()[i], cross += sweep.cross()[i];
    for (const double value : entries) due_first += value, due_second += value * value, size += std::abs(value);
    EXPECT(count == static_cast<double>(entries.size()), "%g entries instead of %zu", count, entries.size());
    const double bound = 1e-12 * static_cast<double>(entries.size() + 1);
    if (!(due_second < 1e300)) return;
    EXPECT(std::abs(first - due_first) <= bound * size, "%.17g instead of %.17g", first, due_first);
    EXPECT(std::abs(second - due_second) <= bound * due_second, "%.17g instead of %.17g", second, due_second);
    EXPECT(std::abs(cross - due_second) <= bound * due_second, "%.17g instead of %.17g", cross, due_second);
}

void check_histograms(const PanelsPtr& x, Metric metric, std::size_t n_entries, Input& input) {
    Numbers numbers(input, any_kind(input));
    const double low = numbers.next(), high = numbers.next();
    const std::int64_t bins = input.number(1, 300);
    const int n_threads = static_cast<int>(input.number(1, 3));
    std::vector<BinArgs> args;
    try {
        args = {equal_bins(low, high, bins), equal_bins(low, high, bins)};
    } catch (const std::invalid_argument&) {
        return;
    }
    HistogramSweep marginal({x, x}, metric, args);
    JointHistogramSweep joint({x, x}, {{0, 1}}, metric, args);
    marginal.run(0, marginal.n_tasks(), n_threads);
    joint.run(0, joint.n_tasks(), n_threads);
    const auto counts = marginal.counts(), pairs = joint.counts();
    std::uint64_t total = 0;
    for (std::int64_t a = 0; a < bins; ++a) {
        total += counts[a];
        for (std::int64_t b = 0; b < bins; ++b)
            EXPECT(pairs[a * bins + b] == (a == b ? counts[a] : 0), "bin (%ld, %ld)", a, b);
    }
    EXPECT(total == n_entries, "%lu entries instead of %zu", total, n_entries);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const Isa isa = any_isa(input);
    const auto precision = input.one_of({TilePrecision::fp32, TilePrecision::fp64, TilePrecision::bf16});
    const auto metric = precision == TilePrecision::bf16 ? Metric::dot : static_cast<Metric>(input.number(0, 7));
    const RowTransform transform = transform_of(metric);
    const std::int64_t n = input.number(1, input.one_of({4, 30, 30, 220})), m = input.number(0, 40);
    const std::int64_t d = input.number(1, input.one_of({3, 20, 140}));
    const auto kind = any_kind(input);
    Numbers numbers(input, kind);
    const bool finite = input.byte() % 16 != 0;
    const Rows x = any_rows(input, numbers, n, d, any_dtype(input), true, finite);
    const Rows y = any_rows(input, numbers, m, d, any_dtype(input), true, finite);
    std::vector<double> shift;
    const bool shifted = metric != Metric::dot && input.byte() % 2 == 0;
    PanelsPtr left, right;
    try {
        if (shifted) shift = mean_row(x.view, transform, 2, isa);
        left = std::make_shared<Panels>(x.view, transform, shift, precision, any_blocks(input, n), 2, isa);
        if (m > 0) right = std::make_shared<Panels>(y.view, transform, shift, precision, any_blocks(input, m), 1, isa);
    } catch (const std::invalid_argument&) {
        return 0;
    }
    const auto rows = packed(x, transform, shift, precision, isa);
    for (const auto& row : rows)
        for (const double value : row) EXPECT(std::isfinite(value), "panels of %g", value);
    // what underflows: products of float32 below 2^-149, of float64 below 2^-1074
    const bool single = precision != TilePrecision::fp64;
    const double unit = single ? 0x1p-24 : 0x1p-53, tiny = single ? 0x1p-126 : 0x1p-1022;
    const std::vector<double> within = distances(left, nullptr, metric, input);
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows.size(); ++i)
        for (std::size_t j = i + 1; j < rows.size(); ++j)
            check_entry(metric, rows[i], rows[j], within[at++], unit, tiny);
    if (right) {
        const auto others = packed(y, transform, shift, precision, isa);
        const std::vector<double> between = distances(left, right, metric, input);
        at = 0;
        for (const auto& u : rows)
            for (const auto& v : others) check_entry(metric, u, v, between[at++], unit, tiny);
    }
    check_sums(left, metric, within, input);
    check_histograms(left, metric, within.size(), input);
    return 0;
}
