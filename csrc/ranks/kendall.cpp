// Knight's algorithm (JASA 61, 1966, pp. 436-439): sort by x, ties by y; discordant pairs are then the inversions of y,
// counted while a merge sort removes them.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ranks/ranks.h"

namespace repsim {
namespace {

constexpr std::int64_t kRun = 16;              // sorted by insertion
constexpr std::int64_t kSegment = kRun << 10;  // sorted by one thread, in its cache
constexpr std::int64_t kMergePiece = 1 << 18;  // output of one task of a merge

// Merges the sorted a[begin_a, end_a) and b[begin_b, end_b) to out. Returns how many pairs (of any element of `a`
// before all_a, an element of this part of b) are out of order.
template <class T>
std::int64_t merge(const T* a, std::int64_t begin_a, std::int64_t end_a, std::int64_t all_a, const T* b,
                   std::int64_t begin_b, std::int64_t end_b, T* out) {
    std::int64_t i = begin_a, j = begin_b, inversions = 0;
    while (i < end_a && j < end_b) {
        const bool from_b = b[j] < a[i];
        *out++ = from_b ? b[j] : a[i];
        inversions += from_b ? all_a - i : 0;
        j += from_b;
        i += !from_b;
    }
    inversions += (end_b - j) * (all_a - i);
    out = std::copy(a + i, a + end_a, out);
    std::copy(b + j, b + end_b, out);
    return inversions;
}

template <class T>
std::int64_t insertion_sort(T* data, std::int64_t n) {
    std::int64_t inversions = 0;
    for (std::int64_t i = 1; i < n; ++i) {
        const T value = data[i];
        std::int64_t j = i;
        for (; j > 0 && value < data[j - 1]; --j) data[j] = data[j - 1];
        data[j] = value;
        inversions += i - j;
    }
    return inversions;
}

// kSegment / kRun is a power of four: after as many merges a full segment lies in `data` again.
template <class T>
std::int64_t sort_segment(T* data, T* spare, std::int64_t n) {
    std::int64_t inversions = 0;
    for (std::int64_t begin = 0; begin < n; begin += kRun)
        inversions += insertion_sort(data + begin, std::min(kRun, n - begin));
    T *from = data, *to = spare;
    for (std::int64_t width = kRun; width < n; width *= 2) {
        for (std::int64_t begin = 0; begin < n; begin += 2 * width) {
            const std::int64_t middle = std::min(n, begin + width), end = std::min(n, begin + 2 * width);
            inversions += merge(from, begin, middle, middle, from, middle, end, to + begin);
        }
        std::swap(from, to);
    }
    if (from != data) std::copy_n(from, n, data);
    return inversions;
}

// How many of the first `place` elements of the merge of a and b come from a (equal elements: a first).
template <class T>
std::int64_t share_of_a(const T* a, std::int64_t n_a, const T* b, std::int64_t n_b, std::int64_t place) {
    std::int64_t low = std::max<std::int64_t>(0, place - n_b), high = std::min(place, n_a);
    while (low < high) {
        const std::int64_t i = low + (high - low) / 2;
        if (b[place - i - 1] < a[i])
            high = i;
        else
            low = i + 1;
    }
    return low;
}

// Sorts `data` and returns its number of inversions. `data` and `spare` may change places.
template <class T>
std::int64_t sort_and_count(std::unique_ptr<T[]>& data, std::unique_ptr<T[]>& spare, std::int64_t n, int n_threads) {
    const std::int64_t n_segments = (n + kSegment - 1) / kSegment;
    std::vector<std::int64_t> inversions(n_segments, 0);
    parallel_for(n_segments, n_threads, [&](std::int64_t s, int) {
        const std::int64_t begin = s * kSegment;
        inversions[s] = sort_segment(data.get() + begin, spare.get() + begin, std::min(kSegment, n - begin));
    });
    const std::int64_t n_pieces = (n + kMergePiece - 1) / kMergePiece;
    for (std::int64_t width = kSegment; width < n; width *= 2) {
        const T* from = data.get();
        T* to = spare.get();
        // A piece of the output belongs to one merge if that is longer than the piece; otherwise it holds complete
        // merges.
        parallel_for(n_pieces, n_threads, [&](std::int64_t piece, int) {
            const std::int64_t piece_end = std::min(n, (piece + 1) * kMergePiece);
            for (std::int64_t place = piece * kMergePiece; place < piece_end;) {
                const std::int64_t begin = place / (2 * width) * (2 * width), middle = std::min(n, begin + width);
                const std::int64_t end = std::min(n, begin + 2 * width), stop = std::min(end, piece_end);
                const T *a = from + begin, *b = from + middle;
                const std::int64_t n_a = middle - begin, n_b = end - middle;
                const std::int64_t a0 = share_of_a(a, n_a, b, n_b, place - begin);
                const std::int64_t a1 = share_of_a(a, n_a, b, n_b, stop - begin);
                inversions[place / kSegment] +=
                    merge(a, a0, a1, n_a, b, place - begin - a0, stop - begin - a1, to + place);
                place = stop;
            }
        });
        data.swap(spare);
    }
    std::int64_t total = 0;
    for (std::int64_t count : inversions) total += count;
    return total;
}

// Pairs of equal elements in a sorted vector.
template <class T, class Same>
std::int64_t tied_pairs(const T* sorted, std::int64_t n, const Same& same) {
    std::int64_t pairs = 0, run = 0;
    for (std::int64_t i = 1; i < n; ++i) {
        run = same(sorted[i - 1], sorted[i]) ? run + 1 : 0;
        pairs += run;
    }
    return pairs;
}

// The places of a row in the order of its ranks, and where equal ranks begin and end.
struct Order {
    std::vector<std::uint32_t> places;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> tied;
    std::int64_t ties = 0;

    // Doubled mid-ranks of n entries lie in [2, 2 n]: they are counted, not compared.
    Order(const std::uint32_t* doubled, std::int64_t n) : places(n) {
        std::vector<std::uint32_t> next(2 * n + 2, 0);
        for (std::int64_t i = 0; i < n; ++i) ++next[doubled[i] + 1];
        for (std::int64_t r = 1; r <= 2 * n; ++r) {
            const std::uint32_t count = next[r + 1];
            if (count > 1) tied.emplace_back(next[r], next[r] + count);
            ties += std::int64_t{count} * (count - 1) / 2;
            next[r + 1] += next[r];
        }
        for (std::int64_t i = 0; i < n; ++i) places[next[doubled[i]]++] = static_cast<std::uint32_t>(i);
    }
};

struct Scratch {
    std::unique_ptr<std::uint32_t[]> data, spare;
    explicit Scratch(std::int64_t n)
        : data(std::make_unique_for_overwrite<std::uint32_t[]>(n)),
          spare(std::make_unique_for_overwrite<std::uint32_t[]>(n)) {}
};

std::int64_t difference_of(const Order& x, const std::uint32_t* y, std::int64_t ties_y, std::int64_t n,
                           Scratch& scratch, int n_threads) {
    const auto same = [](auto a, auto b) { return a == b; };
    std::uint32_t* ys = scratch.data.get();
    for (std::int64_t i = 0; i < n; ++i) ys[i] = y[x.places[i]];
    std::int64_t both = 0;
    for (const auto& [begin, end] : x.tied) {  // pairs tied in x are neither concordant nor discordant
        std::sort(ys + begin, ys + end);
        both += tied_pairs(ys + begin, end - begin, same);
    }
    const std::int64_t discordant = sort_and_count(scratch.data, scratch.spare, n, n_threads);
    return n * (n - 1) / 2 - x.ties - ties_y + both - 2 * discordant;
}

}  // namespace

void kendall_of_rows(const std::uint32_t* x, std::int64_t a, const std::uint32_t* y, std::int64_t b, std::int64_t n,
                     const KendallOfRows& out, int n_threads) {
    n_threads = std::max(1, n_threads);
    // Long rows: all threads sort one pair. Short rows: every thread has its own pair.
    const bool long_rows = n > 2 * kSegment;
    const int at_once = long_rows ? 1 : n_threads, for_each = long_rows ? n_threads : 1;
    std::vector<std::unique_ptr<Order>> orders(a);
    parallel_for(a, n_threads, [&](std::int64_t i, int) {
        orders[i] = std::make_unique<Order>(x + i * n, n);
        out.ties_x[i] = orders[i]->ties;
    });
    parallel_for(b, n_threads, [&](std::int64_t j, int) { out.ties_y[j] = Order(y + j * n, n).ties; });
    std::vector<std::unique_ptr<Scratch>> scratches(at_once);
    parallel_for(a * b, at_once, [&](std::int64_t pair, int worker) {
        auto& scratch = scratches[worker];
        if (!scratch) scratch = std::make_unique<Scratch>(n);
        const std::int64_t i = pair / b, j = pair % b;
        out.difference[pair] = difference_of(*orders[i], y + j * n, out.ties_y[j], n, *scratch, for_each);
    });
}

KendallCounts kendall_counts(const std::uint32_t* doubled_x, const std::uint32_t* doubled_y, std::int64_t n,
                             int n_threads) {
    KendallCounts counts;
    counts.pairs = n * (n - 1) / 2;
    auto ys = std::make_unique_for_overwrite<std::uint32_t[]>(n);
    {
        auto both = std::make_unique_for_overwrite<std::uint64_t[]>(n);
        auto spare = std::make_unique_for_overwrite<std::uint64_t[]>(n);
        for (std::int64_t i = 0; i < n; ++i) both[i] = static_cast<std::uint64_t>(doubled_x[i]) << 32 | doubled_y[i];
        sort_and_count(both, spare, n, n_threads);
        counts.ties_x = tied_pairs(both.get(), n, [](auto a, auto b) { return a >> 32 == b >> 32; });
        counts.ties_both = tied_pairs(both.get(), n, [](auto a, auto b) { return a == b; });
        for (std::int64_t i = 0; i < n; ++i) ys[i] = static_cast<std::uint32_t>(both[i]);
    }
    auto spare = std::make_unique_for_overwrite<std::uint32_t[]>(n);
    const std::int64_t discordant = sort_and_count(ys, spare, n, n_threads);
    counts.ties_y = tied_pairs(ys.get(), n, [](auto a, auto b) { return a == b; });
    counts.concordant_minus_discordant =
        counts.pairs - counts.ties_x - counts.ties_y + counts.ties_both - 2 * discordant;
    return counts;
}

}  // namespace repsim
