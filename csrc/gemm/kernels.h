// The table of kernels that each instruction set fills with the same source (isa_kernels.h) under its own flags.
//
// Layout of a packed block: `width` columns in panels of `nr`, each panel [row][nr] contiguous, columns past the
// width are zero. One packing serves both sides of a product, because mr divides nr: the left operand of a
// micro-tile is an mr-wide slice of a panel. Blocks of integers have a layout of their own (int24/layout.h).
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/isa.h"

namespace repsim {

// Rows of a stream that are summed in the precision of the products, and then added to float64 sums once.
constexpr std::int64_t kBlockRows = 256;

// What is done to a row before the shift.
enum class RowTransform : int {
    raw,           // x
    unit,          // x / |x|                     dot products of unit rows are cosines
    unit_centred,  // (x - mean x) / |x - mean x|  ... and these are correlations
};

// Products of float32 or float64 numbers, or of integers of 24 bits (int24/); sums of blocks are float64 in all.
enum class Precision : int { fp32, fp64, int24 };

struct PackArgs {
    const char* rows;         // first row; elements of a row are contiguous
    std::int64_t row_stride;  // bytes
    DType dtype;
    std::int64_t n_rows;
    std::int64_t width;
    RowTransform transform;
    const double* shift;     // width values, subtracted after the transform
    void* workspace;         // workspace_bytes * width, on a cache line
    void* panels;            // panel p begins at byte p * nr * column_bytes
    std::int64_t first_row;  // of the block: a multiple of rows_together
    double* squared_norms;   // |u|^2 of each packed row, as packed
};

struct MultiplyArgs {
    const void* left;  // element (row k, column i) at left[k * left_stride + i], i < left_width; int24/layout.h
    std::int64_t left_stride;
    std::int64_t left_width;   // a multiple of mr
    const void* right;         // one panel, [k][nr]
    std::int64_t right_width;  // its columns that are wanted, at least one
    std::int64_t n_rows;       // k < n_rows
    double* out;               // out[i * out_stride + j] += sum_k left[k, i] * right[k, j]
    std::int64_t out_stride;
    bool upper = false;           // a panel with itself: sums below the diagonal may be left out
    const void* ahead = nullptr;  // the panel that the next product reads, if it is not in cache yet
};

// Rows as they are stored; elements of a row are contiguous.
struct RowsArgs {
    const char* rows;
    std::int64_t row_stride;  // bytes
    DType dtype;
    std::int64_t n_rows, width;
};

// What a transform took from a row: its mean (unit_centred), and then its length, which may have under- or overflowed.
struct RowSize {
    double centre = 0, length = 0;
};

struct Kernels {
    int mr, nr;
    std::int64_t column_bytes;     // of one column of a packed block of kBlockRows
    std::int64_t rows_together;    // rows of a block that one call packs
    std::int64_t workspace_bytes;  // of packing, a feature
    void (*pack)(const PackArgs&);
    // A left operand with the columns 1, squared_norms[0], squared_norms[stride], ..., and zeros up to n_weights.
    void (*pack_weights)(const double* squared_norms, std::int64_t stride, int n_sides, std::int64_t n_rows,
                         std::int64_t n_weights, void* out);
    // Largest rounding error of an element of each packed column; null where packing rounds to floating-point numbers.
    void (*rounding)(const void* panels, std::int64_t width, double* out);
    void (*multiply)(const MultiplyArgs&);
    void (*squares)(const void* panel, std::int64_t n_rows, double* out);  // out[j] += sum_k panel[k, j]^2, j < nr
    // out[j] = the row converted and transformed, not shifted
    RowSize (*read_row)(const char* row, DType dtype, std::int64_t width, RowTransform transform, double* out);
    // sums[j] += row[j] for each row in turn; `workspace` has `width` doubles
    void (*add_rows)(const RowsArgs&, double* sums, double* workspace);
    // dots[r] = row . towards and squares[r] = row . row
    void (*dot_rows)(const RowsArgs&, const double* towards, double* dots, double* squares, double* workspace);
};

const Kernels& kernels(Isa isa, Precision precision);

}  // namespace repsim
