// first_nonfinite and first_directionless_row against loops over the elements.
#include "moments/scan.h"

#include "input.h"

using namespace repsim;
using namespace repsim::fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const DType dtype = any_dtype(input);
    const std::int64_t n = input.number(0, 700), d = input.number(1, input.one_of({3, 40}));
    const int n_threads = static_cast<int>(input.number(0, 3));
    const bool odd_one = input.byte() % 2 == 0;
    const std::int64_t odd_row = input.number(0, 700), odd_column = input.number(0, 39);
    Numbers numbers(input, any_kind(input));
    const Rows rows = any_rows(input, numbers, n, d, dtype);
    if (odd_one && odd_row < n && odd_column < d)
        store(input.one_of({HUGE_VAL, -HUGE_VAL, std::nan(""), 0.0, -0.0, 1.0}), dtype,
              const_cast<char*>(rows.view.row(odd_row)) + odd_column * rows.view.col_stride);

    BadEntry due;
    for (std::int64_t i = 0; i < n && due.row < 0; ++i)
        for (std::int64_t j = 0; j < d && due.row < 0; ++j)
            if (!std::isfinite(rows.at(i, j))) due = {i, j};
    const BadEntry found = first_nonfinite(rows.view, n_threads);
    EXPECT(found.row == due.row && found.col == due.col, "(%ld, %ld) instead of (%ld, %ld)", found.row, found.col,
           due.row, due.col);
    if (due.row >= 0) return 0;  // callers refuse such rows

    for (const RowTransform transform : {RowTransform::raw, RowTransform::unit, RowTransform::unit_centred}) {
        std::int64_t first = -1;
        for (std::int64_t i = 0; i < n && first < 0 && transform != RowTransform::raw; ++i) {
            bool constant = true;
            for (std::int64_t j = 0; j < d; ++j)
                constant = constant && rows.at(i, j) == (transform == RowTransform::unit ? 0.0 : rows.at(i, 0));
            if (constant) first = i;
        }
        const BadEntry bad = first_directionless_row(rows.view, transform, n_threads);
        EXPECT(bad.row == first && bad.col == -1, "row %ld instead of %ld", bad.row, first);
    }
    return 0;
}
