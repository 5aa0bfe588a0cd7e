// Tables of counters that many threads add to. Integers, so the order of additions does not matter.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace repsim {

// Small tables are kept once per worker, in its cache. Large ones exist once: a worker collects the cells of a region
// of the table in a buffer, and adds them when it is full, while the region is in its cache.
class CountTables {
  public:
    CountTables(std::int64_t n_tables, std::int64_t n_cells);

    void prepare(int n_workers);  // before any addition
    void add(int worker, std::int64_t table, const std::int32_t* cells, std::int64_t count);
    // [table][cell]; no thread may be adding.
    const std::vector<std::uint64_t>& total();

  private:
    static constexpr int kRegionBits = 16;
    static constexpr std::int64_t kRegion = std::int64_t{1} << kRegionBits;
    static constexpr std::int64_t kBuffer = 4096;  // cells collected per region

    struct Worker {
        std::vector<std::uint32_t> counts;     // [table][cell]
        std::int64_t n_counted = 0;            // an upper bound for any of them
        std::vector<std::uint16_t> collected;  // [table][region][kBuffer]
        std::vector<std::uint32_t> used;       // [table][region]
    };
    bool small() const { return n_cells_ <= kRegion; }
    void merge(Worker& own);
    void empty(Worker& own, std::int64_t region);

    std::int64_t n_tables_, n_cells_, n_regions_;
    std::vector<std::uint64_t> totals_;
    std::vector<Worker> workers_;
    std::mutex totals_mutex_;
    std::unique_ptr<std::mutex[]> region_mutexes_;
};

}  // namespace repsim
