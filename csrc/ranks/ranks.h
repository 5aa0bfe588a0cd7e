// Exact rank statistics of long vectors: mid-ranks, Spearman's sums, Kendall's counts.
//
// Everything here is integer arithmetic on ranks, so no result depends on the number of threads. Vectors hold no NaN
// (the Python layer refuses them) and fewer than 2^31 entries; -0 and +0 are tied.
#pragma once

#include <cstdint>

namespace repsim {

__extension__ typedef __int128 Int128;

// out[i] = #{j : v_j < v_i} + (#{j : v_j = v_i} + 1) / 2, from 1 to n.
void midranks(const float* values, std::int64_t n, double* out, int n_threads);
void midranks(const double* values, std::int64_t n, double* out, int n_threads);

// Twice the mid-ranks, which are integers: same order, same ties.
void doubled_midranks(const float* values, std::int64_t n, std::uint32_t* out, int n_threads);
void doubled_midranks(const double* values, std::int64_t n, std::uint32_t* out, int n_threads);

// Sums over a_i = 2 rank(x_i) - (n + 1) and b_i likewise of y; the mean of both is 0. Exact: below n^3.
// Spearman's rho = xy / sqrt(xx yy), rho-a = 3 xy / (n^3 - n).
struct RankSums {
    Int128 xx = 0, xy = 0, yy = 0;
};
// X, Y: float or double.
template <class X, class Y>
RankSums spearman_sums(const X* x, const Y* y, std::int64_t n, int n_threads);
RankSums rank_sums(const std::uint32_t* doubled_x, const std::uint32_t* doubled_y, std::int64_t n, int n_threads);

// Over the n (n - 1) / 2 pairs {i, j}. Pairs tied in x (or y) include those tied in both.
struct KendallCounts {
    std::int64_t pairs = 0, concordant_minus_discordant = 0, ties_x = 0, ties_y = 0, ties_both = 0;
};
KendallCounts kendall_counts(const std::uint32_t* doubled_x, const std::uint32_t* doubled_y, std::int64_t n,
                             int n_threads);

// Of every row of (n_rows, n): doubled mid-ranks.
void ranks_of_rows(const double* values, std::int64_t n_rows, std::int64_t n, std::uint32_t* out, int n_threads);

// Of every row i of x (a, n) with every row j of y (b, n), both of doubled mid-ranks. A row of x is sorted once, not b
// times.
struct KendallOfRows {
    std::int64_t* difference;  // [i][j]: concordant minus discordant pairs of entries
    std::int64_t *ties_x, *ties_y;
};
void kendall_of_rows(const std::uint32_t* x, std::int64_t a, const std::uint32_t* y, std::int64_t b, std::int64_t n,
                     const KendallOfRows& out, int n_threads);

}  // namespace repsim
