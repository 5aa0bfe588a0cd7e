#include "ranks/rank_table.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/thread_pool.h"

namespace repsim {
namespace {

constexpr std::int64_t kFewValues = 1 << 16;
constexpr std::int64_t kChunk = 1 << 16;

std::int64_t chunks_of(std::int64_t n) { return (n + kChunk - 1) / kChunk; }

// body(chunk, begin, end, worker) for the chunks of [0, n).
template <class Body>
void each_chunk(std::int64_t n, int n_threads, const Body& body) {
    parallel_for(chunks_of(n), n_threads,
                 [&](std::int64_t c, int worker) { body(c, c * kChunk, std::min(n, (c + 1) * kChunk), worker); });
}

}  // namespace

std::optional<RankTable> RankTable::of(const float* values, std::int64_t n, int n_threads) {
    if (n < kFewValues) return std::nullopt;
    RankTable table;
    const std::int64_t n_cells = table.lay_out(values, n, n_threads);
    if (n_cells > n / 2) return std::nullopt;
    table.cells_ = AlignedBuffer<std::uint32_t>(n_cells);
    table.count(values, n, n_threads);
    table.rank(n, n_threads);
    return table;
}

// Finds the pages that hold a value and the bits that no value has; returns the number of cells.
std::int64_t RankTable::lay_out(const float* values, std::int64_t n, int n_threads) {
    struct Seen {
        std::vector<std::uint8_t> pages = std::vector<std::uint8_t>(kPages);
        std::uint32_t bits = 0;
    };
    std::vector<Seen> seen(std::max(1, n_threads));
    each_chunk(n, n_threads, [&](std::int64_t, std::int64_t begin, std::int64_t end, int worker) {
        std::uint8_t* pages = seen[worker].pages.data();
        std::uint32_t bits = 0;
        for (std::int64_t i = begin; i < end; ++i) bits |= std::bit_cast<std::uint32_t>(values[i]);
        for (std::int64_t i = begin; i < end; ++i) pages[key_of(values[i]) >> kCellBits] = 1;
        seen[worker].bits |= bits;
    });
    std::uint32_t bits = 0;
    for (const Seen& part : seen) bits |= part.bits;
    unused_bits_ = std::min(std::countr_zero(bits), kCellBits);
    first_cell_.assign(kPages, 0);
    std::int64_t n_cells = 0;
    for (std::uint32_t page = 0; page < kPages; ++page) {
        const auto holds_it = [page](const Seen& part) { return part.pages[page] != 0; };
        if (std::none_of(seen.begin(), seen.end(), holds_it)) continue;
        first_cell_[page] = static_cast<std::uint32_t>(n_cells);
        n_cells += std::int64_t{1} << (kCellBits - unused_bits_);
    }
    return n_cells;
}

void RankTable::count(const float* values, std::int64_t n, int n_threads) {
    // each counts for itself, as many as take no more memory than the values twice over
    const auto n_cells = static_cast<std::int64_t>(cells_.size());
    const int n_counting = static_cast<int>(std::clamp<std::int64_t>(2 * n / n_cells, 1, std::max(1, n_threads)));
    for (int worker = 1; worker < n_counting; ++worker) counts_.emplace_back(n_cells);
    each_chunk(n, n_counting, [&](std::int64_t, std::int64_t begin, std::int64_t end, int worker) {
        std::uint32_t* counts = worker == 0 ? cells_.data() : counts_[worker - 1].data();
        for (std::int64_t i = begin; i < end; ++i) ++counts[cell_of(values[i])];
    });
}

void RankTable::rank(std::int64_t n, int n_threads) {
    const auto n_cells = static_cast<std::int64_t>(cells_.size());
    std::uint32_t* cells = cells_.data();
    std::vector<std::int64_t> before(chunks_of(n_cells), 0);
    each_chunk(n_cells, n_threads, [&](std::int64_t c, std::int64_t begin, std::int64_t end, int) {
        for (const auto& counts : counts_)
            for (std::int64_t i = begin; i < end; ++i) cells[i] += counts.data()[i];
        for (std::int64_t i = begin; i < end; ++i) before[c] += cells[i];
    });
    counts_.clear();
    std::int64_t total = 0;
    for (std::int64_t& count : before) total += std::exchange(count, total);
    std::vector<Int128> squares(before.size(), 0);
    each_chunk(n_cells, n_threads, [&](std::int64_t c, std::int64_t begin, std::int64_t end, int) {
        std::int64_t below = before[c];
        Int128 sum = 0;
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t count = cells[i], doubled = 2 * below + count + 1, centred = doubled - (n + 1);
            sum += static_cast<Int128>(centred * centred) * count;
            below += count;
            cells[i] = static_cast<std::uint32_t>(doubled);
        }
        squares[c] = sum;
    });
    for (const Int128 sum : squares) squares_ += sum;
}

RankSums rank_sums(const RankTable& of_x, const float* x, const RankTable& of_y, const float* y, std::int64_t n,
                   int n_threads) {
    std::vector<Int128> products(chunks_of(n));
    each_chunk(n, n_threads, [&](std::int64_t c, std::int64_t begin, std::int64_t end, int) {
        Int128 sum = 0;
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t a = of_x.doubled(x[i]), b = of_y.doubled(y[i]);
            sum += (a - (n + 1)) * (b - (n + 1));  // below 2^62
        }
        products[c] = sum;
    });
    RankSums sums{of_x.squares(), 0, of_y.squares()};
    for (const Int128 product : products) sums.xy += product;
    return sums;
}

}  // namespace repsim
