// Ranks without sorting (value, index) pairs. Keys are distributed to buckets in their order of appearance and ranked
// inside each bucket. A second pass over the values in the same order then reads the ranks in the same order, so no
// index is stored, and memory is accessed sequentially.
#include "ranks/ranks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ranks/rank_keys.h"
#include "ranks/rank_table.h"

namespace repsim {
namespace {

constexpr int kMaxBits = 11;                   // 2048 streams: their cache lines and pages still fit
constexpr std::int64_t kSerialKeys = 1 << 15;  // fewer are ranked by one thread
constexpr std::int64_t kFewKeys = 24;          // fewer are compared each with each

// Bucket of a key: its leading bits above the smallest key.
template <class Key>
struct Split {
    Key low;
    int shift;
    std::size_t n_buckets;

    Split(Key low, Key high, std::int64_t n) : low(low) {
        const int bits = std::clamp<int>(std::bit_width(static_cast<std::uint64_t>(n)) - 2, 1, kMaxBits);
        shift = std::max<int>(0, std::bit_width(static_cast<Key>(high - low)) - bits);
        n_buckets = static_cast<std::size_t>((high - low) >> shift) + 1;
    }
    std::size_t operator()(Key key) const { return static_cast<std::size_t>((key - low) >> shift); }
};

// Replaces keys[0..n) by twice their mid-ranks, `before` smaller keys being elsewhere. One thread, memory reused.
template <class Key>
class SerialRanker {
  public:
    void rank(Key* keys, std::int64_t n, std::int64_t before, std::size_t depth = 0) {
        if (n <= kFewKeys) return rank_few(keys, n, before);
        const auto [lowest, highest] = std::minmax_element(keys, keys + n);
        const Key low = *lowest, high = *highest;
        if (low == high) {
            std::fill_n(keys, n, static_cast<Key>(2 * before + n + 1));
        } else if (static_cast<std::uint64_t>(high - low) < 4 * static_cast<std::uint64_t>(n)) {
            rank_by_counting(keys, n, before, low, high);
        } else {
            rank_by_buckets(keys, n, before, Split<Key>(low, high, n), depth);
        }
    }

  private:
    struct Level {
        std::vector<Key> parts;
        std::vector<std::int64_t> next;
    };

    static void rank_few(Key* keys, std::int64_t n, std::int64_t before) {
        std::array<Key, kFewKeys> all;
        std::copy_n(keys, n, all.begin());
        for (std::int64_t i = 0; i < n; ++i) {
            Key smaller = 0, equal = 0;
            for (std::int64_t j = 0; j < n; ++j) {
                smaller += all[j] < all[i];
                equal += all[j] == all[i];
            }
            keys[i] = static_cast<Key>(2 * before) + 2 * smaller + equal + 1;
        }
    }

    void rank_by_counting(Key* keys, std::int64_t n, std::int64_t before, Key low, Key high) {
        table_.assign(static_cast<std::size_t>(high - low) + 1, 0);
        for (std::int64_t i = 0; i < n; ++i) ++table_[keys[i] - low];
        auto doubled = static_cast<Key>(2 * before + 1);
        for (Key& cell : table_) {
            const Key count = cell;
            cell = doubled + count;
            doubled += 2 * count;
        }
        for (std::int64_t i = 0; i < n; ++i) keys[i] = table_[keys[i] - low];
    }

    void rank_by_buckets(Key* keys, std::int64_t n, std::int64_t before, Split<Key> bucket, std::size_t depth) {
        if (levels_.size() <= depth) levels_.resize(depth + 1);
        // Deeper calls may move the levels, not what their vectors hold.
        levels_[depth].parts.resize(std::max<std::size_t>(levels_[depth].parts.size(), n));
        levels_[depth].next.assign(bucket.n_buckets, 0);
        Key* parts = levels_[depth].parts.data();
        std::int64_t* next = levels_[depth].next.data();
        for (std::int64_t i = 0; i < n; ++i) ++next[bucket(keys[i])];
        std::int64_t begin = 0;
        for (std::size_t b = 0; b < bucket.n_buckets; ++b) begin += std::exchange(next[b], begin);
        for (std::int64_t i = 0; i < n; ++i) parts[next[bucket(keys[i])]++] = keys[i];
        // Each `next` now stands at the end of its bucket; ranking moves it back to the beginning.
        begin = 0;
        for (std::size_t b = 0; b < bucket.n_buckets; ++b) {
            const std::int64_t end = std::exchange(next[b], begin);
            rank(parts + begin, end - begin, before + begin, depth + 1);
            begin = end;
        }
        for (std::int64_t i = 0; i < n; ++i) keys[i] = parts[next[bucket(keys[i])]++];
    }

    std::vector<Key> table_;
    std::vector<Level> levels_;
};

// Named, because a lambda inside rank_all would be another type in each of its instantiations, without end.
template <class Key>
struct KeysAt {
    const Key* keys;
    Key operator()(std::int64_t i) const { return keys[i]; }
};

template <class Key>
struct RanksTo {
    Key* ranks;
    void operator()(std::int64_t i, Key rank) const { ranks[i] = rank; }
};

template <class Key>
struct Job {
    int n_threads;
    std::vector<SerialRanker<Key>> rankers;
};

// sink(i, twice the mid-rank of source(i)), for i < n. source(i) is not read again after its rank is delivered.
template <class Key, class Source, class Sink>
void rank_all(const Source& source, std::int64_t n, std::int64_t before, const Sink& sink, Job<Key>& job) {
    const std::int64_t n_chunks = std::clamp<std::int64_t>(n / kSerialKeys, 1, 4 * job.n_threads);
    const auto each_chunk = [&](const auto& body) {
        parallel_for(n_chunks, job.n_threads,
                     [&](std::int64_t c, int) { body(c, n * c / n_chunks, n * (c + 1) / n_chunks); });
    };
    std::vector<Key> lows(n_chunks, ~Key{0}), highs(n_chunks, 0);
    each_chunk([&](std::int64_t c, std::int64_t begin, std::int64_t end) {
        Key low = ~Key{0}, high = 0;
        for (std::int64_t i = begin; i < end; ++i) {
            low = std::min(low, source(i));
            high = std::max(high, source(i));
        }
        lows[c] = low;
        highs[c] = high;
    });
    const Key low = *std::min_element(lows.begin(), lows.end()), high = *std::max_element(highs.begin(), highs.end());
    if (low == high) {
        each_chunk([&](std::int64_t, std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) sink(i, static_cast<Key>(2 * before + n + 1));
        });
        return;
    }

    const Split<Key> bucket(low, high, n);
    std::vector<std::vector<std::int64_t>> next(n_chunks);
    each_chunk([&](std::int64_t c, std::int64_t begin, std::int64_t end) {
        std::vector<std::int64_t> counts(bucket.n_buckets, 0);
        for (std::int64_t i = begin; i < end; ++i) ++counts[bucket(source(i))];
        next[c] = std::move(counts);
    });
    std::vector<std::int64_t> begins(bucket.n_buckets + 1, 0);
    std::int64_t place = 0;
    for (std::size_t b = 0; b < bucket.n_buckets; ++b) {
        begins[b] = place;
        for (auto& places : next) place += std::exchange(places[b], place);
    }
    begins[bucket.n_buckets] = n;

    const auto parts = std::make_unique_for_overwrite<Key[]>(n);
    each_chunk([&](std::int64_t c, std::int64_t begin, std::int64_t end) {
        std::vector<std::int64_t> places = next[c];
        for (std::int64_t i = begin; i < end; ++i) {
            const Key key = source(i);
            parts[places[bucket(key)]++] = key;
        }
    });

    // A bucket that would keep one thread busy while the others wait is worth another round by all.
    const auto size = [&](std::int64_t b) { return begins[b + 1] - begins[b]; };
    const std::int64_t large = std::max(kSerialKeys, n / (2 * job.n_threads));
    parallel_for(static_cast<std::int64_t>(bucket.n_buckets), job.n_threads, [&](std::int64_t b, int worker) {
        if (size(b) <= large) job.rankers[worker].rank(parts.get() + begins[b], size(b), before + begins[b]);
    });
    for (std::size_t b = 0; b < bucket.n_buckets; ++b) {
        if (size(b) <= large) continue;
        Key* keys = parts.get() + begins[b];
        rank_all(KeysAt<Key>{keys}, size(b), before + begins[b], RanksTo<Key>{keys}, job);
    }

    each_chunk([&](std::int64_t c, std::int64_t begin, std::int64_t end) {
        std::vector<std::int64_t>& places = next[c];
        for (std::int64_t i = begin; i < end; ++i) sink(i, parts[places[bucket(source(i))]++]);
    });
}

template <class Value, class Sink>
void rank_values(const Value* values, std::int64_t n, const Sink& sink, int n_threads) {
    REPSIM_CHECK(n < std::int64_t{1} << 31, "ranks are made of fewer than 2^31 values: got " << n);
    if (n == 0) return;
    using Key = decltype(key_of(Value{}));
    n_threads = std::max(1, n_threads);
    if constexpr (std::is_same_v<Value, float>)
        if (const auto table = RankTable::of(values, n, n_threads)) {
            constexpr std::int64_t kChunk = 1 << 16;
            parallel_for((n + kChunk - 1) / kChunk, n_threads, [&](std::int64_t c, int) {
                for (std::int64_t i = c * kChunk; i < std::min(n, (c + 1) * kChunk); ++i)
                    sink(i, table->doubled(values[i]));
            });
            return;
        }
    Job<Key> job{n_threads, std::vector<SerialRanker<Key>>(n_threads)};
    rank_all([values](std::int64_t i) { return key_of(values[i]); }, n, 0, sink, job);
}

template <class Value>
void to_midranks(const Value* values, std::int64_t n, double* out, int n_threads) {
    rank_values(
        values, n, [out](std::int64_t i, auto doubled) { out[i] = 0.5 * static_cast<double>(doubled); }, n_threads);
}

template <class Value>
void to_doubled(const Value* values, std::int64_t n, std::uint32_t* out, int n_threads) {
    rank_values(
        values, n, [out](std::int64_t i, auto doubled) { out[i] = static_cast<std::uint32_t>(doubled); }, n_threads);
}

}  // namespace

void midranks(const float* values, std::int64_t n, double* out, int n_threads) {
    to_midranks(values, n, out, n_threads);
}

void midranks(const double* values, std::int64_t n, double* out, int n_threads) {
    to_midranks(values, n, out, n_threads);
}

void doubled_midranks(const float* values, std::int64_t n, std::uint32_t* out, int n_threads) {
    to_doubled(values, n, out, n_threads);
}

void doubled_midranks(const double* values, std::int64_t n, std::uint32_t* out, int n_threads) {
    to_doubled(values, n, out, n_threads);
}

void ranks_of_rows(const double* values, std::int64_t n_rows, std::int64_t n, std::uint32_t* out, int n_threads) {
    if (n > kSerialKeys) {  // all threads rank one row
        for (std::int64_t r = 0; r < n_rows; ++r) to_doubled(values + r * n, n, out + r * n, n_threads);
        return;
    }
    n_threads = std::max(1, n_threads);
    std::vector<SerialRanker<std::uint64_t>> rankers(n_threads);
    std::vector<std::vector<std::uint64_t>> keys(n_threads, std::vector<std::uint64_t>(n));
    parallel_for(n_rows, n_threads, [&](std::int64_t r, int worker) {
        auto& row = keys[worker];
        for (std::int64_t i = 0; i < n; ++i) row[i] = key_of(values[r * n + i]);
        rankers[worker].rank(row.data(), n, 0);
        for (std::int64_t i = 0; i < n; ++i) out[r * n + i] = static_cast<std::uint32_t>(row[i]);
    });
}

template <class X, class Y>
RankSums spearman_sums(const X* x, const Y* y, std::int64_t n, int n_threads) {
    if constexpr (std::is_same_v<X, float> && std::is_same_v<Y, float>)
        if (const auto of_x = RankTable::of(x, n, n_threads))
            if (const auto of_y = RankTable::of(y, n, n_threads)) return rank_sums(*of_x, x, *of_y, y, n, n_threads);
    const auto of_x = std::make_unique_for_overwrite<std::uint32_t[]>(n);
    const auto of_y = std::make_unique_for_overwrite<std::uint32_t[]>(n);
    doubled_midranks(x, n, of_x.get(), n_threads);
    doubled_midranks(y, n, of_y.get(), n_threads);
    return rank_sums(of_x.get(), of_y.get(), n, n_threads);
}

template RankSums spearman_sums(const float*, const float*, std::int64_t, int);
template RankSums spearman_sums(const float*, const double*, std::int64_t, int);
template RankSums spearman_sums(const double*, const float*, std::int64_t, int);
template RankSums spearman_sums(const double*, const double*, std::int64_t, int);

RankSums rank_sums(const std::uint32_t* doubled_x, const std::uint32_t* doubled_y, std::int64_t n, int n_threads) {
    constexpr std::int64_t kChunk = 1 << 16;
    const std::int64_t n_chunks = (n + kChunk - 1) / kChunk;
    std::vector<RankSums> sums(n_chunks);
    parallel_for(n_chunks, n_threads, [&](std::int64_t c, int) {
        RankSums total;
        for (std::int64_t i = c * kChunk; i < std::min(n, (c + 1) * kChunk); ++i) {
            const std::int64_t x = doubled_x[i] - (n + 1), y = doubled_y[i] - (n + 1);  // |x|, |y| < n < 2^31
            total.xx += x * x;
            total.xy += x * y;
            total.yy += y * y;
        }
        sums[c] = total;
    });
    RankSums total;
    for (const RankSums& sum : sums) {
        total.xx += sum.xx;
        total.xy += sum.xy;
        total.yy += sum.yy;
    }
    return total;
}

}  // namespace repsim
