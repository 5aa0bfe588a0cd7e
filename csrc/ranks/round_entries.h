// Rounds the last bits of the entries of an RDM away, so that entries which differ only by rounding noise are tied.
#pragma once

#include <cstdint>

namespace repsim {

struct EntryRange {
    double low = 0, high = 0;
};

// Rounds the significands of finite entries, in place, to 20 bits of 24, or 40 of 53; returns the range they then have.
EntryRange round_entries(float* entries, std::int64_t n, int n_threads);
EntryRange round_entries(double* entries, std::int64_t n, int n_threads);

}  // namespace repsim
