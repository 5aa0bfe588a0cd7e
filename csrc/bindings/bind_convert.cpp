// Translates; does not compute. The GIL is released while the engine works.
#include <pybind11/stl.h>

#include <optional>

#include "bindings/array_view.h"
#include "bindings/gil.h"
#include "convert/narrow.h"

namespace py = pybind11;
using namespace repsim;

namespace {

py::tuple narrow(const py::array& rows, std::optional<py::array> out, py::array_t<double, py::array::c_style>& sums,
                 std::int64_t n_summed, const std::string& isa) {
    NarrowArgs args{};
    args.rows = view_of(rows);
    REPSIM_CHECK(args.rows.rows_are_contiguous(), "the elements of a row must be contiguous");
    args.to = args.rows.dtype;
    if (out) {
        const MatrixView target = view_of(*out);
        REPSIM_CHECK(target.dtype != DType::f64, "out must be float16, bfloat16 or float32: got float64");
        REPSIM_CHECK(target.rows == args.rows.rows && target.cols == args.rows.cols && target.rows_are_contiguous() &&
                         target.row_stride == target.cols * static_cast<std::int64_t>(size_of(target.dtype)),
                     "out must be a contiguous array of the shape of rows");
        args.to = target.dtype;
        args.out = static_cast<char*>(out->mutable_data());
    }
    REPSIM_CHECK(sums.ndim() == 1 && sums.shape(0) == args.rows.cols,
                 "sums must have an entry for each of " << args.rows.cols << " columns");
    args.sums = sums.mutable_data();
    args.n_summed = n_summed;
    const Narrow kernel = narrow_kernel(choose_isa(isa));
    Largest largest{};
    {
        GilReleased released;
        largest = kernel(args);
    }
    return py::make_tuple(largest.given, largest.stored);
}

}  // namespace

void bind_convert(py::module_& module) {
    module.def("narrow", &narrow, py::arg("rows"), py::arg("out").noconvert(), py::arg("sums").noconvert(),
               py::arg("n_summed"), py::kw_only(), py::arg("isa") = "auto");
}
