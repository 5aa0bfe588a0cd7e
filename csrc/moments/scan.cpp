#include "moments/scan.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/thread_pool.h"

namespace repsim {
namespace {

constexpr std::int64_t kRowsPerTask = 256;

// A number is finite when its exponent field is not all ones.
template <class Bits>
bool has_nonfinite(const char* row, std::int64_t width, Bits exponent) {
    Bits hit = 0;
    for (std::int64_t j = 0; j < width; ++j) {
        Bits bits;
        std::memcpy(&bits, row + j * static_cast<std::int64_t>(sizeof bits), sizeof bits);
        hit |= static_cast<Bits>((bits & exponent) == exponent);
    }
    return hit != 0;
}

template <class Bits>
std::int64_t nonfinite_column(const MatrixView& view, std::int64_t row, Bits exponent) {
    if (view.rows_are_contiguous() && !has_nonfinite(view.row(row), view.cols, exponent)) return -1;
    for (std::int64_t j = 0; j < view.cols; ++j) {
        Bits bits;
        std::memcpy(&bits, view.row(row) + j * view.col_stride, sizeof bits);
        if ((bits & exponent) == exponent) return j;
    }
    return -1;
}

std::int64_t nonfinite_column(const MatrixView& view, std::int64_t row) {
    switch (view.dtype) {
        case DType::f16: return nonfinite_column<std::uint16_t>(view, row, 0x7c00u);
        case DType::bf16: return nonfinite_column<std::uint16_t>(view, row, 0x7f80u);
        case DType::f32: return nonfinite_column<std::uint32_t>(view, row, 0x7f800000u);
        case DType::f64: return nonfinite_column<std::uint64_t>(view, row, 0x7ff0000000000000u);
    }
    return -1;
}

template <class Bits>
bool directionless(const MatrixView& view, std::int64_t row, RowTransform transform) {
    constexpr Bits sign = static_cast<Bits>(Bits(1) << (8 * sizeof(Bits) - 1));
    if (view.cols == 0) return true;
    Bits first;
    std::memcpy(&first, view.row(row), sizeof first);
    if (transform == RowTransform::unit && (first & ~sign) != 0) return false;
    for (std::int64_t j = 1; j < view.cols; ++j) {
        Bits bits;
        std::memcpy(&bits, view.row(row) + j * view.col_stride, sizeof bits);
        // zeros of either sign are equal; other numbers are equal when their bits are
        if (bits != first && ((bits | first) & ~sign) != 0) return false;
    }
    return true;
}

bool directionless(const MatrixView& view, std::int64_t row, RowTransform transform) {
    switch (size_of(view.dtype)) {
        case 2: return directionless<std::uint16_t>(view, row, transform);
        case 4: return directionless<std::uint32_t>(view, row, transform);
        default: return directionless<std::uint64_t>(view, row, transform);
    }
}

// The smallest row for which `is_bad` holds, or -1: the answer does not depend on the order of tasks.
template <class Predicate>
std::int64_t first_row_where(std::int64_t rows, int n_threads, Predicate is_bad) {
    std::atomic<std::int64_t> first{rows};
    parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, n_threads, [&](std::int64_t task, int) {
        const std::int64_t begin = task * kRowsPerTask, end = std::min(rows, begin + kRowsPerTask);
        for (std::int64_t row = begin; row < end && row < first.load(); ++row) {
            if (!is_bad(row)) continue;
            std::int64_t smallest = first.load();
            while (row < smallest && !first.compare_exchange_weak(smallest, row)) {
            }
            return;
        }
    });
    return first.load() == rows ? -1 : first.load();
}

}  // namespace

BadEntry first_nonfinite(const MatrixView& view, int n_threads) {
    const std::int64_t row =
        first_row_where(view.rows, n_threads, [&](std::int64_t r) { return nonfinite_column(view, r) >= 0; });
    return row < 0 ? BadEntry{} : BadEntry{row, nonfinite_column(view, row)};
}

BadEntry first_directionless_row(const MatrixView& view, RowTransform transform, int n_threads) {
    if (transform == RowTransform::raw) return {};
    return BadEntry{
        first_row_where(view.rows, n_threads, [&](std::int64_t r) { return directionless(view, r, transform); })};
}

}  // namespace repsim
