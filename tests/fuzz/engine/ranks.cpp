// Ranks, rank correlations and rounding of entries, against definitions that compare each with each.
#include "ranks/ranks.h"

#include <algorithm>

#include "input.h"
#include "ranks/round_entries.h"

using namespace repsim;
using namespace repsim::fuzzing;

namespace {

template <class T>
std::vector<T> values_of(Input& input, std::int64_t n) {
    Numbers numbers(input, any_kind(input));
    const std::int64_t period = input.byte() % 3 == 0 ? input.number(1, 100) : n;  // many ties
    std::vector<T> values;
    values.reserve(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
        if (i >= period) {
            values.push_back(values[static_cast<std::size_t>(i % period)]);
            continue;
        }
        const double value = rounded(numbers.next(), sizeof(T) == 4 ? DType::f32 : DType::f64);
        values.push_back(std::isnan(value) ? T(0) : static_cast<T>(value));
    }
    return values;
}

template <class T>
std::vector<std::uint32_t> due_ranks(const std::vector<T>& values) {
    std::vector<T> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::uint32_t> ranks;
    for (const T value : values) {
        const auto [low, high] = std::equal_range(sorted.begin(), sorted.end(), value);
        ranks.push_back(static_cast<std::uint32_t>((low - sorted.begin()) + (high - sorted.begin()) + 1));
    }
    return ranks;
}

template <class T>
void check_rounding(std::vector<T> values, int n_threads) {
    constexpr int kept = sizeof(T) == 4 ? 20 : 40;
    for (T& value : values)
        if (!(std::abs(value) < std::numeric_limits<T>::max() / 4) || std::fpclassify(value) == FP_SUBNORMAL) value = 1;
    std::vector<T> found = values;
    const EntryRange range = round_entries(found.data(), static_cast<std::int64_t>(found.size()), n_threads);
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double value = values[i], got = found[i];
        const double unit = value == 0 ? 0 : std::ldexp(1.0, std::ilogb(value) - kept + 1);
        EXPECT(std::abs(got - value) <= unit / 2, "%a becomes %a", value, got);
        EXPECT(unit == 0 || std::fmod(got, unit) == 0, "%a becomes %a, which has more bits", value, got);
        low = std::min(low, got), high = std::max(high, got);
    }
    if (!values.empty()) EXPECT(range.low == low && range.high == high, "[%g, %g]", range.low, range.high);
}

// Two rows, x and y, with two rows, y and x.
template <class X>
void check_rows(const std::vector<X>& x, const std::vector<std::uint32_t>& of_x, const std::vector<std::uint32_t>& of_y,
                const KendallCounts& due, int n_threads) {
    const auto n = static_cast<std::int64_t>(x.size());
    std::vector<double> values(x.begin(), x.end());
    values.insert(values.end(), x.rbegin(), x.rend());
    std::vector<std::uint32_t> ranks(values.size());
    ranks_of_rows(values.data(), 2, n, ranks.data(), n_threads);
    for (std::size_t i = 0; i < x.size(); ++i)
        EXPECT(ranks[i] == of_x[i] && ranks[ranks.size() - 1 - i] == of_x[i], "rank %u", of_x[i]);
    std::vector<std::uint32_t> rows = of_x, others = of_y;
    rows.insert(rows.end(), of_y.begin(), of_y.end());
    others.insert(others.end(), of_x.begin(), of_x.end());
    std::int64_t difference[4], ties_x[2], ties_y[2];
    kendall_of_rows(rows.data(), 2, others.data(), 2, n, {difference, ties_x, ties_y}, n_threads);
    EXPECT(ties_x[0] == due.ties_x && ties_x[1] == due.ties_y && ties_y[0] == due.ties_y && ties_y[1] == due.ties_x,
           "ties %ld and %ld", ties_x[0], ties_x[1]);
    const std::int64_t same[] = {due.pairs - due.ties_x, due.pairs - due.ties_y};
    EXPECT(difference[0] == due.concordant_minus_discordant && difference[3] == difference[0] &&
               difference[1] == same[0] && difference[2] == same[1],
           "%ld, %ld, %ld, %ld", difference[0], difference[1], difference[2], difference[3]);
}

template <class X, class Y>
void check(Input& input, std::int64_t n, int n_threads) {
    const std::vector<X> x = values_of<X>(input, n);
    const std::vector<Y> y = values_of<Y>(input, n);
    const std::vector<std::uint32_t> of_x = due_ranks(x), of_y = due_ranks(y);
    std::vector<double> ranks(static_cast<std::size_t>(n));
    std::vector<std::uint32_t> doubled(static_cast<std::size_t>(n));
    midranks(x.data(), n, ranks.data(), n_threads);
    doubled_midranks(x.data(), n, doubled.data(), n_threads);
    Int128 xx = 0, xy = 0, yy = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        EXPECT(doubled[i] == of_x[i], "%u instead of %u", doubled[i], of_x[i]);
        EXPECT(ranks[i] == 0.5 * of_x[i], "%g instead of %g", ranks[i], 0.5 * of_x[i]);
        const Int128 a = Int128(of_x[i]) - (n + 1), b = Int128(of_y[i]) - (n + 1);
        xx += a * a, xy += a * b, yy += b * b;
    }
    const RankSums sums = spearman_sums(x.data(), y.data(), n, n_threads);
    EXPECT(sums.xx == xx && sums.xy == xy && sums.yy == yy, "n = %ld", n);
    if (n > 400) return;
    KendallCounts due;
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = i + 1; j < n; ++j) {
            const int dx = (of_x[i] > of_x[j]) - (of_x[i] < of_x[j]), dy = (of_y[i] > of_y[j]) - (of_y[i] < of_y[j]);
            ++due.pairs;
            due.concordant_minus_discordant += dx * dy;
            due.ties_x += dx == 0, due.ties_y += dy == 0, due.ties_both += dx == 0 && dy == 0;
        }
    const KendallCounts found = kendall_counts(of_x.data(), of_y.data(), n, n_threads);
    EXPECT(found.pairs == due.pairs && found.concordant_minus_discordant == due.concordant_minus_discordant &&
               found.ties_x == due.ties_x && found.ties_y == due.ties_y && found.ties_both == due.ties_both,
           "%ld of %ld instead of %ld of %ld", found.concordant_minus_discordant, found.pairs,
           due.concordant_minus_discordant, due.pairs);
    check_rows(x, of_x, of_y, due, n_threads);
    check_rounding(x, n_threads);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t which = input.byte();
    std::int64_t n = input.number(0, input.one_of({30, 30, 400, 400, 5000}));
    if (which == 255) n += 1 << 16;  // from here on ranks of float32 come from a table, and chunks are many
    const int n_threads = static_cast<int>(input.number(1, 3));
    switch (which % 4) {
        case 0: check<float, float>(input, n, n_threads); break;
        case 1: check<double, double>(input, n, n_threads); break;
        case 2: check<float, double>(input, n, n_threads); break;
        default: check<double, float>(input, n, n_threads);
    }
    return 0;
}
