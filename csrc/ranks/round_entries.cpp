#include "ranks/round_entries.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "core/thread_pool.h"

namespace repsim {
namespace {

constexpr std::int64_t kChunk = 1 << 16;
constexpr std::int64_t kLanes = 16;  // so that the compiler need not reorder

template <class T, class Bits, int low_bits>
EntryRange rounded_entries(T* entries, std::int64_t n, int n_threads) {
    if (n == 0) return {};
    constexpr Bits half = Bits{1} << (low_bits - 1), kept = ~((Bits{1} << low_bits) - 1);
    const auto rounded = [](T value) { return std::bit_cast<T>((std::bit_cast<Bits>(value) + half) & kept); };
    std::vector<EntryRange> ranges((n + kChunk - 1) / kChunk);
    parallel_for(static_cast<std::int64_t>(ranges.size()), n_threads, [&](std::int64_t c, int) {
        const std::int64_t end = std::min(n, (c + 1) * kChunk);
        std::int64_t i = c * kChunk;
        std::array<T, kLanes> low, high;
        low.fill(rounded(entries[i]));
        high.fill(low[0]);
        const auto take = [&](std::int64_t at, std::int64_t lane) {
            const T value = rounded(entries[at]);
            entries[at] = value;
            low[lane] = value < low[lane] ? value : low[lane];
            high[lane] = value > high[lane] ? value : high[lane];
        };
        for (; i + kLanes <= end; i += kLanes)
            for (std::int64_t lane = 0; lane < kLanes; ++lane) take(i + lane, lane);
        for (; i < end; ++i) take(i, 0);
        ranges[c] = {*std::min_element(low.begin(), low.end()), *std::max_element(high.begin(), high.end())};
    });
    EntryRange all = ranges.front();
    for (const EntryRange& range : ranges) all = {std::min(all.low, range.low), std::max(all.high, range.high)};
    return all;
}

}  // namespace

EntryRange round_entries(float* entries, std::int64_t n, int n_threads) {
    return rounded_entries<float, std::uint32_t, 4>(entries, n, n_threads);
}

EntryRange round_entries(double* entries, std::int64_t n, int n_threads) {
    return rounded_entries<double, std::uint64_t, 13>(entries, n, n_threads);
}

}  // namespace repsim
