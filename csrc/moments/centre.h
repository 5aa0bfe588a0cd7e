// From sums around shifts to sums around the means.
#pragma once

#include <cstdint>
#include <vector>

namespace repsim {

struct Centring {
    double* sums;  // (rows x cols), or of equal features only: (rows)
    std::int64_t rows, cols;
    const double *left, *right;  // sums of the rows of both sides
    bool diagonal;
};

struct CentredSums {
    double squares;  // of all entries; 0 of a diagonal
    double trace;
};

// sums -= left right^T / n in place; with left = right a symmetric matrix stays so to the bit. The results are added up
// in the order of NumPy's sum, whatever the number of threads.
std::vector<CentredSums> centre(const std::vector<Centring>& matrices, double n_samples, int n_threads);

}  // namespace repsim
