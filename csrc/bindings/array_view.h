// NumPy arrays as views, never as copies: any dtype, strides and read-only memory are accepted.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "core/matrix_view.h"

namespace repsim {

// bfloat16 has no buffer-protocol format, so the type is read from the dtype's name (ml_dtypes names it so).
inline MatrixView view_of(const pybind11::array& array) {
    REPSIM_CHECK(array.ndim() == 2, "rows must be a 2-D array: got " << array.ndim() << " dimensions");
    const auto name = pybind11::str(array.dtype().attr("name")).cast<std::string>();
    return {static_cast<const char*>(array.data()),
            dtype_from_name(name),
            array.shape(0),
            array.shape(1),
            array.strides(0),
            array.strides(1)};
}

inline std::vector<MatrixView> views_of(const std::vector<pybind11::array>& arrays) {
    std::vector<MatrixView> views;
    for (const auto& array : arrays) views.push_back(view_of(array));
    return views;
}

}  // namespace repsim
