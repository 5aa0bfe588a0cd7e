// Entries of an RDM with their last bits rounded away, so that what rounding alone sets apart is tied.
#pragma once

#include <cstdint>

namespace repsim {

struct EntryRange {
    double low = 0, high = 0;
};

// Rounds the significands of finite entries, in place, to 20 bits of 24, or 40 of 53; returns the range they then have.
EntryRange steady(float* entries, std::int64_t n, int n_threads);
EntryRange steady(double* entries, std::int64_t n, int n_threads);

}  // namespace repsim
