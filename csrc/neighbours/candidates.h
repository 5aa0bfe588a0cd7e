// Rows that may be among the k nearest, while only bounds on their entries are known.
//
// A row's limit is an upper bound on its k-th smallest entry: what is certainly farther is dropped. If the bounds
// cannot shorten a full list, its entries are computed and all but the k nearest are dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace repsim {

struct Candidate {
    std::int64_t index;
    float low, high;  // bounds on the entry before the metric's last function; equal when it is known
};

class CandidateLists {
  public:
    // entries(row, list, count): sets low = high = the entry of each. finish(values, count): the last function, of a
    // multiple of kStripStep values. bounded: it has the same value for all entries from 2 on.
    using Entries = std::function<void(std::int64_t row, Candidate* list, std::int64_t count)>;
    using Finish = std::function<void(float* values, std::int64_t count)>;
    CandidateLists(std::int64_t n_rows, std::int64_t k, bool bounded, Entries entries, Finish finish);

    // Entries with a lower bound above this are not needed. Different rows may be used by different threads at a time.
    float limit(std::int64_t row) const { return limits_[row]; }
    void add(std::int64_t row, std::int64_t index, float low, float high);
    // The k nearest, nearest first.
    const Candidate* settle(std::int64_t row, float* values);

  private:
    void shrink(std::int64_t row);
    void drop_farther(std::int64_t row);
    float limit_from(float high) const;

    std::int64_t k_, capacity_;
    bool bounded_;
    Entries entries_;
    Finish finish_;
    std::vector<Candidate> lists_;  // [row][capacity]
    std::vector<std::int32_t> sizes_;
    std::vector<float> limits_;
};

}  // namespace repsim
