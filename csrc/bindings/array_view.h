// NumPy arrays as views, never as copies: any dtype, strides and read-only memory are accepted.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "core/matrix_view.h"

namespace repsim {

// NumPy's own types have fixed numbers (NPY_HALF, NPY_FLOAT, NPY_DOUBLE). bfloat16 has no buffer-protocol format, so it
// is read from the dtype's name (ml_dtypes names it so), which NumPy makes anew each time: that takes 2 us.
inline DType dtype_of(const pybind11::array& array) {
    switch (array.dtype().num()) {
        case 23: return DType::f16;
        case 11: return DType::f32;
        case 12: return DType::f64;
        default: return dtype_from_name(pybind11::str(array.dtype().attr("name")).cast<std::string>());
    }
}

inline MatrixView view_of(const pybind11::array& array) {
    REPSIM_CHECK(array.ndim() == 2, "rows must be a 2-D array: got " << array.ndim() << " dimensions");
    return {static_cast<const char*>(array.data()),
            dtype_of(array),
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
