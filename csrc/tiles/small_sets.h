// Condensed distances within each of many small sets of rows: one task a set, in buffers that each worker keeps.
//
// The arithmetic is that of Panels and DistanceSweep, so a set has the bits that it has on its own. A set is left out
// where the caller has to decide: rows without a direction or all of one direction (up to a bound above that of
// pyrepsim/backends/directions.py), and numbers that are not finite or near the limits of the precision.
#pragma once

#include <cstdint>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/matrix_view.h"
#include "gemm/kernels.h"
#include "tiles/kernels.h"

namespace repsim {

// Set s is the matrix `stride` bytes * s after the first one; or, with `ends`, the features [ends[s - 1], ends[s]) of
// `features` of the one matrix there is.
struct RowSets {
    MatrixView first;
    std::int64_t count = 0, stride = 0;
    std::vector<std::int64_t> features, ends;
};

class SmallSets {
  public:
    static constexpr std::int64_t kMostRows = 128;

    struct Options {
        Metric metric;
        RowTransform transform;
        bool shifted;             // by the mean (of transformed rows) or by centre_on_grid (of raw rows)
        TilePrecision precision;  // of distances, and of rows with more than few_features features; others: fp64
        std::int64_t few_features;
        double smallest, largest;  // root mean square of raw rows whose squares `precision` can hold
    };

    // out: n_sets * n (n - 1) / 2 elements, float64 or else float32.
    SmallSets(RowSets sets, const Options& options, void* out, bool out_is_double, std::int64_t out_size, Isa isa);

    std::int64_t n_tasks() const { return sets_.count; }
    void run(std::int64_t begin, std::int64_t end, int n_threads);
    std::vector<std::int64_t> left_out() const;  // ascending

  private:
    struct Workspace {
        explicit Workspace(const SmallSets& sets);
        AlignedBuffer<double> rows, shift, columns;
        std::vector<double> reach;  // of rows of length 1: how far a feature may be from where it is, by rounding
        AlignedBuffer<char> staging, panels, terms, tile;
    };

    bool make(std::int64_t set, Workspace& at) const;
    void read(std::int64_t set, std::int64_t width, double* rows, double* scratch) const;
    bool directed(std::int64_t width, Workspace& at) const;
    void find_shift(std::int64_t width, Workspace& at) const;
    bool sizes_are_safe(std::int64_t width, const PairKernels& kernels, const void* half_squares) const;
    template <class In, class Out>
    void write(const In* tile, Out* out) const;
    const PairKernels& kernels_for(std::int64_t width) const;

    std::int64_t width_of(std::int64_t set) const;
    std::int64_t term_bytes() const { return (n_padded_ * 8 + 63) / 64 * 64; }
    std::int64_t begin_of(std::int64_t set) const { return set == 0 ? 0 : sets_.ends[set - 1]; }

    RowSets sets_;
    Options options_;
    void* out_;
    bool out_is_double_;
    const Kernels& reading_;
    const PairKernels &kernels_, &kernels_of_few_;
    std::int64_t n_, most_features_, stride_;
    std::int64_t n_padded_;  // to whole panels of both kernels
    std::vector<Workspace> workspaces_;
    std::vector<char> left_out_;
};

}  // namespace repsim
