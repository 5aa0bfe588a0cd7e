#include "neighbours/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "neighbours/neighbours.h"

namespace repsim {

CandidateLists::CandidateLists(std::int64_t n_rows, std::int64_t k, bool bounded, Entries entries, Finish finish)
    : k_(k),
      capacity_(2 * k + 16),
      bounded_(bounded),
      entries_(std::move(entries)),
      finish_(std::move(finish)),
      lists_(n_rows * capacity_),
      sizes_(n_rows, 0),
      limits_(n_rows, std::numeric_limits<float>::infinity()) {}

void CandidateLists::add(std::int64_t row, std::int64_t index, float low, float high) {
    if (!(low <= limits_[row])) return;
    lists_[row * capacity_ + sizes_[row]++] = {index, low, high};
    if (sizes_[row] == capacity_) shrink(row);
}

// The last function rounds, and so may make one value of entries that differ in their last bits, which then are
// ordered by index: the limit has a margin for them.
float CandidateLists::limit_from(float high) const {
    const float limit = high + std::abs(high) * 0x1p-16f + 1e-37f;
    return bounded_ && limit >= 2 ? std::numeric_limits<float>::infinity() : limit;
}

void CandidateLists::drop_farther(std::int64_t row) {
    Candidate* list = lists_.data() + row * capacity_;
    std::int32_t& size = sizes_[row];
    std::nth_element(list, list + k_ - 1, list + size,
                     [](const Candidate& a, const Candidate& b) { return a.high < b.high; });
    const float limit = limits_[row] = std::min(limits_[row], limit_from(list[k_ - 1].high));
    Candidate* end = std::remove_if(list, list + size, [&](const Candidate& c) { return c.low > limit; });
    size = static_cast<std::int32_t>(end - list);
}

void CandidateLists::shrink(std::int64_t row) {
    drop_farther(row);
    if (sizes_[row] > capacity_ - capacity_ / 4) {
        std::vector<float> values(k_);
        settle(row, values.data());
        limits_[row] = std::min(limits_[row], limit_from(lists_[row * capacity_ + k_ - 1].high));
    }
}

const Candidate* CandidateLists::settle(std::int64_t row, float* values) {
    Candidate* list = lists_.data() + row * capacity_;
    if (sizes_[row] > k_) drop_farther(row);
    const std::int64_t size = sizes_[row], wanted = std::min<std::int64_t>(k_, size);
    Candidate* unknown = std::partition(list, list + size, [](const Candidate& c) { return c.low == c.high; });
    if (unknown != list + size) entries_(row, unknown, list + size - unknown);
    std::vector<float> finished((size + kStripStep - 1) / kStripStep * kStripStep, 0.0f);
    for (std::int64_t i = 0; i < size; ++i) finished[i] = list[i].low;
    finish_(finished.data(), static_cast<std::int64_t>(finished.size()));
    std::vector<std::pair<Neighbour, Candidate>> order(size);
    for (std::int64_t i = 0; i < size; ++i) order[i] = {{finished[i], list[i].index}, list[i]};
    std::partial_sort(order.begin(), order.begin() + wanted, order.end(),
                      [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::int64_t i = 0; i < wanted; ++i) {
        values[i] = static_cast<float>(order[i].first.value);
        list[i] = order[i].second;
    }
    sizes_[row] = static_cast<std::int32_t>(wanted);
    return list;
}

}  // namespace repsim
