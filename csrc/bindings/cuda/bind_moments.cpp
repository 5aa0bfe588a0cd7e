#include "bindings/cuda/module.h"
#include "bindings/enum_names.h"
#include "bindings/gil.h"
#include "cuda/moments.h"

namespace py = pybind11;
using namespace repsim;
using namespace repsim::cuda;

namespace {

using Address = std::uintptr_t;

DeviceRows rows_at(Address data, const std::string& dtype, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
    REPSIM_CHECK(rows >= 0 && cols > 0 && stride >= cols,
                 "rows in device memory need a shape and a stride that fit it");
    return {pointer<const void>(data), dtype_from_name(dtype), rows, cols, stride};
}

}  // namespace

void bind_cuda_moments(py::module_& module) {
    module.def(
        "prepare_rows",
        [](Address data, const std::string& dtype, std::int64_t rows, std::int64_t cols, std::int64_t stride,
           const std::string& transform, Address shift, const std::string& precision, Address out, Address norms,
           Address stream) {
            const auto in = rows_at(data, dtype, rows, cols, stride);
            const auto kind = transform_from_name(transform);
            const auto rounding = precision_from_name(precision);
            GilReleased released;
            prepare_rows(in, kind, pointer<const double>(shift), rounding, pointer<void>(out), pointer<double>(norms),
                         stream_at(stream));
        },
        py::arg("data"), py::arg("dtype"), py::arg("rows"), py::arg("cols"), py::arg("stride"), py::arg("transform"),
        py::arg("shift"), py::arg("precision"), py::arg("out"), py::arg("norms"), py::arg("stream"));
    module.def(
        "scan_rows",
        [](Address data, const std::string& dtype, std::int64_t rows, std::int64_t cols, std::int64_t stride,
           Address first_bad, Address stream) {
            const auto in = rows_at(data, dtype, rows, cols, stride);
            GilReleased released;
            scan_rows(in, pointer<unsigned long long>(first_bad), stream_at(stream));
        },
        py::arg("data"), py::arg("dtype"), py::arg("rows"), py::arg("cols"), py::arg("stride"), py::arg("first_bad"),
        py::arg("stream"));
    module.def("partial_sums", &partial_sums, py::arg("rows"), py::arg("cols"), py::arg("n_weights"));
    module.def(
        "add_weighted_sums",
        [](const std::string& precision, Address u, std::int64_t rows, std::int64_t cols, Address weights,
           std::int64_t n_weights, std::int64_t weights_stride, Address partial, Address out, Address stream) {
            const auto rounding = precision_from_name(precision);
            GilReleased released;
            add_weighted_sums(rounding, pointer<const void>(u), rows, cols, pointer<const double>(weights), n_weights,
                              weights_stride, pointer<double>(partial), pointer<double>(out), stream_at(stream));
        },
        py::arg("precision"), py::arg("u"), py::arg("rows"), py::arg("cols"), py::arg("weights"), py::arg("n_weights"),
        py::arg("weights_stride"), py::arg("partial"), py::arg("out"), py::arg("stream"));
    module.def(
        "add_products",
        [](Address products, std::int64_t n_products, std::int64_t size, Address out, Address stream) {
            GilReleased released;
            add_products(pointer<const float>(products), n_products, size, pointer<double>(out), stream_at(stream));
        },
        py::arg("products"), py::arg("n_products"), py::arg("size"), py::arg("out"), py::arg("stream"));
}
