// A non-owning (rows, cols) matrix: checked once where it enters the engine.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace repsim {

struct MatrixView {
    const char* data = nullptr;
    DType dtype = DType::f64;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t row_stride = 0;  // bytes; may be negative
    std::int64_t col_stride = 0;  // bytes

    bool rows_are_contiguous() const { return cols <= 1 || col_stride == static_cast<std::int64_t>(size_of(dtype)); }
    const char* row(std::int64_t i) const { return data + i * row_stride; }
};

}  // namespace repsim
