#include "ranks/counts.h"

#include <limits>

namespace repsim {

CountTables::CountTables(std::int64_t n_tables, std::int64_t n_cells)
    : n_tables_(n_tables),
      n_cells_(n_cells),
      n_regions_((n_cells + kRegion - 1) / kRegion),
      totals_(n_tables * n_cells, 0),
      region_mutexes_(std::make_unique<std::mutex[]>(n_tables * n_regions_)) {}

void CountTables::prepare(int n_workers) {
    while (workers_.size() < static_cast<std::size_t>(n_workers)) {
        Worker& own = workers_.emplace_back();
        if (small()) {
            own.counts.assign(n_tables_ * n_cells_, 0);
        } else {
            own.collected.assign(n_tables_ * n_regions_ * kBuffer, 0);
            own.used.assign(n_tables_ * n_regions_, 0);
        }
    }
}

void CountTables::add(int worker, std::int64_t table, const std::int32_t* cells, std::int64_t count) {
    Worker& own = workers_[worker];
    if (small()) {
        if (own.n_counted > std::numeric_limits<std::uint32_t>::max() - count) merge(own);
        own.n_counted += count;
        std::uint32_t* counts = own.counts.data() + table * n_cells_;
        for (std::int64_t i = 0; i < count; ++i) ++counts[cells[i]];
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t region = table * n_regions_ + (cells[i] >> kRegionBits);
        own.collected[region * kBuffer + own.used[region]] = static_cast<std::uint16_t>(cells[i] & (kRegion - 1));
        if (++own.used[region] == kBuffer) empty(own, region);
    }
}

void CountTables::merge(Worker& own) {
    std::lock_guard<std::mutex> lock(totals_mutex_);
    for (std::size_t i = 0; i < own.counts.size(); ++i) totals_[i] += own.counts[i];
    own.counts.assign(own.counts.size(), 0);
    own.n_counted = 0;
}

void CountTables::empty(Worker& own, std::int64_t region) {
    const std::uint16_t* cells = own.collected.data() + region * kBuffer;
    std::uint64_t* totals =
        totals_.data() + region / n_regions_ * n_cells_ + region % n_regions_ * kRegion;  // of table and region
    std::lock_guard<std::mutex> lock(region_mutexes_[region]);
    for (std::uint32_t i = 0; i < own.used[region]; ++i) ++totals[cells[i]];
    own.used[region] = 0;
}

const std::vector<std::uint64_t>& CountTables::total() {
    for (Worker& own : workers_) {
        if (small())
            merge(own);
        else
            for (std::int64_t region = 0; region < n_tables_ * n_regions_; ++region) empty(own, region);
    }
    return totals_;
}

}  // namespace repsim
