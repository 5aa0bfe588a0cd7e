// The kernels of screening: products of bfloat16 rows that bound the float32 entry of a tile, and that compute single
// entries.
//
// Everything is in terms of what the k nearest are ordered by before a metric's last function: h, half the squared
// distance, or for dot minus the product.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "tiles/kernels.h"

namespace repsim {

// What the bound needs of a row; takes the place of RowTerm in PackedRows::terms.
enum ScreenTerm : int {
    low_part,  // |u|^2 / 2, or 0 for dot, less its share of the float32 errors
    length,    // |u| or |u'|, u' the row in bfloat16, whichever is longer
    residual,  // |u - u'| and a share of the errors of summation
};

// What of an entry is error, apart from rounding the rows to bfloat16.
struct ErrorShares {
    double of_products;  // times |u| |v|
    double of_squares;   // times |u|^2 / 2 + |v|^2 / 2
    double absolute;     // from products below the smallest normal number
};

struct NarrowArgs {
    const float* panel;         // [feature][nr]
    const float* half_squares;  // of its rows
    std::int64_t n_features;
    bool squares_count;  // false for dot
    ErrorShares errors;
    std::uint32_t* pairs;  // [feature pair][nr], the even feature in the lower half; u'
    float* rows;           // [nr][n_features]: u as it is, for single entries
    float* terms[3];       // ScreenTerm
};

struct Hit {
    std::int16_t row, col;  // within the tile
    float low, high;        // bounds on the float32 entry
};

struct ScreenArgs {
    TileArgs tile;                         // of packed pairs; `out` keeps the products
    const float *row_limits, *col_limits;  // full panels; pairs whose lower bound is within either are hits
    ErrorShares errors;
    Hit* hits;  // as many as the tile has entries
};

constexpr std::int64_t kMostEntries = 64;

struct EntryArgs {
    const float* row;
    const float* const* others;
    std::int64_t count;  // at most kMostEntries
    std::int64_t n_features;
    float half_square;
    const float* half_squares;  // of the others
    bool squares_count;
    float* out;  // the tile's entries, bit for bit, before the last function
};

struct ScreenKernels {
    void (*narrow)(const NarrowArgs&);
    std::int64_t (*screen)(const ScreenArgs&);  // returns the number of hits
    void (*entries)(const EntryArgs&);
    void (*finish)(Metric metric, float* values, std::int64_t count);  // padded to a multiple of kStripStep
    std::int64_t run;       // features whose products are summed in one run: in bfloat16
    std::int64_t tile_run;  // and in the float32 tile
};

// Null where the processor has no bfloat16 products, or panels are packed for another instruction set.
const ScreenKernels* screen_kernels(Isa isa);

}  // namespace repsim
