// Ranks by counting, for values with few distinct numbers: no sorting, and no rank is stored for each value.
//
// The key of a value is cut into a page, its leading 16 bits, and a cell of that page; trailing bits that are zero in
// every value are left out. Only pages that hold a value have cells. Entries of an RDM rounded to 20 bits have 2^19
// cells an octave: a million or so, however many the entries.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/aligned_buffer.h"
#include "ranks/rank_keys.h"
#include "ranks/ranks.h"

namespace repsim {

class RankTable {
  public:
    // Nothing where values are few, or cells more than half as many as values: sorting is then no slower.
    static std::optional<RankTable> of(const float* values, std::int64_t n, int n_threads);

    // Twice the mid-rank of one of the values.
    std::uint32_t doubled(float value) const { return cells_.data()[cell_of(value)]; }
    // sum over all values of (doubled - (n + 1))^2
    Int128 squares() const { return squares_; }

  private:
    static constexpr int kCellBits = 16;
    static constexpr std::uint32_t kPages = 1u << (32 - kCellBits), kCellMask = (1u << kCellBits) - 1;

    std::uint32_t cell_of(float value) const {
        const std::uint32_t key = key_of(value);
        return first_cell_[key >> kCellBits] + ((key & kCellMask) >> unused_bits_);
    }
    std::int64_t lay_out(const float* values, std::int64_t n, int n_threads);
    void count(const float* values, std::int64_t n, int n_threads);
    void rank(std::int64_t n, int n_threads);

    int unused_bits_ = 0;
    std::vector<std::uint32_t> first_cell_;             // of each page
    AlignedBuffer<std::uint32_t> cells_;                // how often, then twice the mid-rank
    std::vector<AlignedBuffer<std::uint32_t>> counts_;  // of the other threads, while counting
    Int128 squares_ = 0;
};

// Sums of the ranks of x and y: see rank_sums.
RankSums rank_sums(const RankTable& of_x, const float* x, const RankTable& of_y, const float* y, std::int64_t n,
                   int n_threads);

}  // namespace repsim
