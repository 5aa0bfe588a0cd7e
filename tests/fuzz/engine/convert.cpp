// Conversion: narrow() of each instruction set against rounding by definition, and read_row() against the elements.
#include <algorithm>

#include "convert/narrow.h"
#include "gemm/kernels.h"
#include "input.h"

using namespace repsim;
using namespace repsim::fuzzing;

namespace {

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

void check_narrow(Input& input, const Rows& rows, Isa isa) {
    const std::int64_t n = rows.view.rows, d = rows.view.cols;
    const bool converts = input.byte() % 4 != 0;
    const DType to = converts ? input.one_of({DType::f16, DType::bf16, DType::f32}) : rows.view.dtype;
    const auto out_size = static_cast<std::int64_t>(size_of(to));
    const std::int64_t n_summed = input.number(0, n), shift = input.number(0, 7);
    const auto out = std::make_unique<char[]>(static_cast<std::size_t>(converts ? shift + n * d * out_size : 0));
    std::vector<double> sums(static_cast<std::size_t>(d), 0.5), due_sums = sums;
    NarrowArgs args{rows.view, to, converts ? out.get() + shift : nullptr, sums.data(), n_summed};
    const Largest largest = narrow_kernel(isa)(args);
    double given = 0, stored = 0;
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j) {
            const double value = rows.at(i, j), due = rounded(value, to);
            given = std::max(given, std::abs(value));
            stored = std::max(stored, std::abs(due));
            if (i < n_summed) due_sums[j] += due;
            if (!converts) continue;
            const double got = element(out.get() + shift + (i * d + j) * out_size, to);
            EXPECT(same(got, due), "%s: %a becomes %a instead of %a", isa_name(isa).c_str(), value, got, due);
        }
    EXPECT(largest.given == given, "%a instead of %a", largest.given, given);
    EXPECT(largest.stored == stored, "%a instead of %a", largest.stored, stored);
    for (std::int64_t j = 0; j < d; ++j)
        EXPECT(same(sums[j], due_sums[j]) || std::isnan(due_sums[j]) || n_summed == 0 || std::isinf(stored),
               "column %ld: %a instead of %a", j, sums[j], due_sums[j]);
}

void check_read_row(const Rows& rows, Isa isa, RowTransform transform) {
    const std::int64_t d = rows.view.cols;
    std::vector<double> out(static_cast<std::size_t>(d));
    for (std::int64_t i = 0; i < rows.view.rows; ++i) {
        kernels(isa, Precision::fp64).read_row(rows.view.row(i), rows.view.dtype, d, transform, out.data());
        double square = 0, sum = 0;
        for (std::int64_t j = 0; j < d; ++j) {
            if (transform == RowTransform::raw)
                EXPECT(same(out[j], rows.at(i, j)), "%a instead of %a", out[j], rows.at(i, j));
            square += out[j] * out[j], sum += out[j];
        }
        bool has_direction = false;
        for (std::int64_t j = 0; j < d; ++j)
            has_direction = has_direction || rows.at(i, j) != (transform == RowTransform::unit ? 0.0 : rows.at(i, 0));
        double largest = 0, centre = 0;
        for (std::int64_t j = 0; j < d; ++j) largest = std::max(largest, std::abs(rows.at(i, j)));
        if (transform == RowTransform::raw || !has_direction || largest > 1e300) continue;
        if (transform == RowTransform::unit_centred) {
            // the direction of rows that are equal up to rounding is refused elsewhere
            double low = HUGE_VAL, high = -HUGE_VAL;
            for (std::int64_t j = 0; j < d; ++j)
                low = std::min(low, rows.at(i, j)), high = std::max(high, rows.at(i, j));
            for (std::int64_t j = 0; j < d; ++j) centre += rows.at(i, j) / static_cast<double>(d);
            if (high - low < 1e-6 * largest || largest < 1e-290) continue;
            EXPECT(std::abs(sum) < 1e-7, "the sum of a centred row is %g", sum);
        }
        EXPECT(std::abs(square - 1) < 1e-12, "a row of length %.17g", std::sqrt(square));
        if (transform == RowTransform::unit)
            for (std::int64_t j = 0; j < d; ++j)
                EXPECT((out[j] > 0) == (rows.at(i, j) > 0) || std::abs(rows.at(i, j)) < 1e-280 * largest,
                       "the sign of %a becomes that of %a", rows.at(i, j), out[j]);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const Isa isa = any_isa(input);
    const DType dtype = any_dtype(input);
    const std::int64_t d = input.number(0, input.one_of({20, 70, 2100}));
    const std::int64_t n = input.number(0, d > 100 ? 3 : 20);
    Numbers numbers(input, any_kind(input));
    Rows rows = any_rows(input, numbers, n, d, dtype, true, true);
    if (!rows.view.rows_are_contiguous()) rows = any_rows(input, numbers, n, d, dtype, false, true);
    if (input.byte() % 2 == 0) return check_narrow(input, rows, isa), 0;
    if (d > 0)
        check_read_row(rows, isa, input.one_of({RowTransform::raw, RowTransform::unit, RowTransform::unit_centred}));
    return 0;
}
