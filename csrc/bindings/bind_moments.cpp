// Translates; does not compute. The GIL is released while the engine works.
#include <pybind11/stl.h>

#include <memory>

#include "bindings/array_view.h"
#include "bindings/enum_names.h"
#include "bindings/gil.h"
#include "core/thread_pool.h"
#include "moments/centre.h"
#include "moments/moments.h"
#include "moments/ordered.h"
#include "moments/scan.h"

namespace py = pybind11;
using namespace repsim;

namespace {

using Dense = py::array_t<double, py::array::c_style>;

py::object entry(BadEntry bad) {
    if (bad.row < 0) return py::none();
    return py::make_tuple(bad.row, bad.col);
}

const double* checked(const Dense& array, std::int64_t size) {
    REPSIM_CHECK(array.size() == size, "a saved sum must have " << size << " entries: got " << array.size());
    return array.data();
}

void update(Moments& self, const std::vector<py::array>& chunk, int n_threads) {
    const auto views = views_of(chunk);
    const auto& widths = self.config().widths;
    REPSIM_CHECK(views.size() == widths.size(),
                 "a chunk must hold " << widths.size() << " arrays: got " << views.size());
    for (std::size_t side = 0; side < views.size(); ++side) {
        REPSIM_CHECK(views[side].cols == widths[side],
                     "array " << side << " must have " << widths[side] << " features: got " << views[side].cols);
        REPSIM_CHECK(views[side].rows == views[0].rows,
                     "arrays must have equal rows: got " << views[0].rows << " and " << views[side].rows);
    }
    GilReleased released;
    self.update(views, n_threads);
}

// Large arrays are in an AlignedBuffer: NumPy would allocate new small pages at each call, whose page faults cost as
// much as filling them.
Dense new_dense(std::int64_t rows, std::int64_t cols) {
    if (rows * cols * static_cast<std::int64_t>(sizeof(double)) < static_cast<std::int64_t>(kLargeBlock))
        return Dense({rows, cols});
    auto memory = std::make_unique<AlignedBuffer<double>>(AlignedBuffer<double>::uninitialised(rows * cols));
    double* data = memory->data();
    py::capsule owner(memory.release(), [](void* kept) { delete static_cast<AlignedBuffer<double>*>(kept); });
    return Dense({rows, cols}, data, owner);
}

py::dict get_state(const Moments& self, bool complete, int n_threads) {
    const auto& config = self.config();
    const auto sides = static_cast<std::int64_t>(config.widths.size());
    py::list shift, products, cross, weighted, pending, rounding;
    Moments::Readout out;
    const auto place = [](py::list& list, std::vector<double*>& data, std::int64_t rows, std::int64_t cols) {
        Dense array = new_dense(rows, cols);
        data.push_back(array.mutable_data());
        list.append(array);
    };
    for (int side = 0; side < sides; ++side) {
        const std::int64_t width = config.widths[side];
        if (!complete) pending.append(Dense({self.n_pending(), width}, self.pending(side)));
        if (config.diagonals) {
            Dense diagonal(width);
            out.products.push_back(diagonal.mutable_data());
            products.append(diagonal);
        } else {
            place(products, out.products, width, width);
        }
        place(weighted, out.weighted, 1 + sides, width);
        if (self.rounds_to_integers()) {
            Dense errors(width);
            out.rounding.push_back(errors.mutable_data());
            rounding.append(errors);
        }
    }
    for (auto [left, right] : config.pairs) place(cross, out.cross, config.widths[left], config.widths[right]);
    Dense norms = new_dense(1 + sides, sides);
    out.norms = norms.mutable_data();
    {
        GilReleased released;
        self.read(complete, out, n_threads);
    }
    for (int side = 0; side < sides; ++side) {
        const auto c = self.shift(side);  // known from reading
        shift.append(Dense(static_cast<py::ssize_t>(c.size()), c.data()));
    }
    py::dict state;
    state["n_samples"] = self.n_samples();
    state["shift"] = shift;
    state["products"] = products;
    state["cross"] = cross;
    state["weighted"] = weighted;
    state["norms"] = norms;
    state["pending"] = pending;
    state["rounding"] = rounding;
    return state;
}

// Everything is read and checked before anything is written.
void set_state(Moments& self, const py::dict& state) {
    const auto& config = self.config();
    REPSIM_CHECK(!config.diagonals, "sums of diagonals cannot be restored");
    const auto sides = static_cast<std::int64_t>(config.widths.size());
    const auto n_samples = state["n_samples"].cast<std::int64_t>();
    REPSIM_CHECK(n_samples >= 0, "n_samples must be 0 or more: got " << n_samples);
    const std::int64_t n_blocks = n_samples / kBlockRows, n_pending = n_samples % kBlockRows;
    std::vector<Dense> owners;
    const auto read = [&](const py::object& array, std::int64_t size) {
        owners.push_back(array.cast<Dense>());
        return checked(owners.back(), size);
    };
    const auto entry = [&](const char* name, std::size_t i) { return py::object(py::list(state[name])[i]); };
    std::vector<std::vector<double>> shifts;
    std::vector<const double*> products, weighted, pending, cross, rounding;
    for (std::size_t side = 0; side < config.widths.size(); ++side) {
        const std::int64_t width = config.widths[side];
        const double* shift = read(entry("shift", side), width);
        shifts.emplace_back(shift, shift + width);
        products.push_back(read(entry("products", side), width * width));
        weighted.push_back(read(entry("weighted", side), (1 + sides) * width));
        pending.push_back(read(entry("pending", side), n_pending * width));
        if (self.rounds_to_integers()) rounding.push_back(read(entry("rounding", side), width));
    }
    for (std::size_t k = 0; k < config.pairs.size(); ++k) {
        const auto [left, right] = config.pairs[k];
        cross.push_back(read(entry("cross", k), config.widths[left] * config.widths[right]));
    }
    const double* norms = read(state["norms"], (1 + sides) * sides);
    for (int side = 0; side < sides; ++side) {
        self.write_self(side, products[side]);
        self.write_weighted(side, weighted[side]);
        if (self.rounds_to_integers()) self.write_rounding(side, rounding[side]);
    }
    for (std::size_t k = 0; k < cross.size(); ++k) self.write_cross(static_cast<int>(k), cross[k]);
    self.write_norms(norms);
    self.restore(n_blocks, shifts);
    self.write_pending(n_pending, pending);
}

// In place. Gives the sum of squares and the trace of each side, and the sum of squares of each pair.
py::tuple centred(const std::vector<py::array>& products, const std::vector<py::array>& cross,
                  const std::vector<std::pair<int, int>>& pairs, const std::vector<Dense>& sums, double n_samples,
                  int n_threads) {
    const auto sides = static_cast<int>(products.size());
    REPSIM_CHECK(sums.size() == products.size() && cross.size() == pairs.size(),
                 "sums must be one per side, and cross products one per pair");
    std::vector<Centring> matrices;
    const auto add = [&](py::array array, int i, int j) {
        REPSIM_CHECK(i >= 0 && i < sides && j >= 0 && j < sides, "a pair names two of the sides");
        const bool diagonal = array.ndim() == 1;
        const auto rows = sums[i].size(), cols = sums[j].size();
        REPSIM_CHECK(Dense::check_(array) && array.writeable() && array.shape(0) == rows &&
                         (diagonal ? i == j : array.ndim() == 2 && array.shape(1) == cols),
                     "sums are centred in place: they must be writeable C-contiguous float64 arrays of their shape");
        auto* data = static_cast<double*>(array.mutable_data());
        matrices.push_back({data, rows, cols, sums[i].data(), sums[j].data(), diagonal});
    };
    for (int side = 0; side < sides; ++side) add(products[side], side, side);
    for (std::size_t k = 0; k < pairs.size(); ++k) add(cross[k], pairs[k].first, pairs[k].second);
    std::vector<CentredSums> found;
    {
        GilReleased released;
        found = centre(matrices, n_samples, n_threads);
    }
    py::list own, between;
    for (int side = 0; side < sides; ++side) own.append(py::make_tuple(found[side].squares, found[side].trace));
    for (std::size_t m = sides; m < found.size(); ++m) between.append(found[m].squares);
    return py::make_tuple(own, between);
}

double dot(const Dense& a, const Dense& b) {
    REPSIM_CHECK(a.ndim() == 1 && b.ndim() == 1 && a.size() == b.size(),
                 "a product needs two vectors of equal length: got " << a.size() << " and " << b.size());
    return ordered_dot(a.data(), b.data(), a.size());
}

Dense vector_matrix(const Dense& a, const Dense& matrix) {
    REPSIM_CHECK(a.ndim() == 1 && matrix.ndim() == 2 && a.size() == matrix.shape(0),
                 "a vector must be as long as a matrix is high: got " << a.size());
    Dense out(matrix.shape(1));
    ordered_vector_matrix(a.data(), matrix.data(), matrix.shape(0), matrix.shape(1), out.mutable_data());
    return out;
}

// All sums of rows that are in memory, in parts of so many rows. `advance` is None, or called with the number of rows
// of each part.
py::dict sums_of(const std::vector<py::array>& rows, std::vector<std::pair<int, int>> pairs,
                 const std::string& transform, const std::string& precision, bool diagonals, std::int64_t part,
                 int n_threads, const py::object& advance, const std::string& isa) {
    const auto views = views_of(rows);
    std::vector<std::int64_t> widths;
    for (const MatrixView& view : views) widths.push_back(view.cols);
    Moments moments({std::move(widths), std::move(pairs), transform_from_name(transform),
                     precision_from_name(precision), diagonals},
                    choose_isa(isa));
    double features = 0;
    for (const MatrixView& view : views) {
        REPSIM_CHECK(view.rows == views[0].rows,
                     "arrays must have equal rows: got " << views[0].rows << " and " << view.rows);
        features += static_cast<double>(view.cols);
    }
    n_threads = threads_for(static_cast<double>(views[0].rows) * features * features, n_threads);
    for (std::int64_t start = 0; start < views[0].rows; start += part) {
        const std::int64_t n_rows = std::min(part, views[0].rows - start);
        std::vector<MatrixView> now = views;
        for (MatrixView& view : now) view.data = view.row(start), view.rows = n_rows;
        {
            GilReleased released;
            moments.update(now, n_threads);
        }
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();  // Ctrl-C
        if (!advance.is_none()) advance(n_rows);
    }
    return get_state(moments, true, n_threads);
}

}  // namespace

void bind_moments(py::module_& module) {
    module.attr("BLOCK_ROWS") = kBlockRows;
    module.def("first_nonfinite", [](const py::array& rows, int n_threads) {
        const MatrixView view = view_of(rows);
        BadEntry bad;
        {
            GilReleased released;
            bad = first_nonfinite(view, n_threads);
        }
        return entry(bad);
    });
    module.def("first_directionless_row", [](const py::array& rows, const std::string& transform, int n_threads) {
        const MatrixView view = view_of(rows);
        const RowTransform kind = transform_from_name(transform);
        BadEntry bad;
        {
            GilReleased released;
            bad = first_directionless_row(view, kind, n_threads);
        }
        return entry(bad);
    });
    module.def("centre", &centred, py::arg("products"), py::arg("cross"), py::arg("pairs"), py::arg("sums"),
               py::arg("n_samples"), py::arg("n_threads"));
    module.def("dot", &dot, py::arg("a"), py::arg("b"));
    module.def("vector_matrix", &vector_matrix, py::arg("a"), py::arg("matrix"));
    module.def("sums_of", &sums_of, py::arg("rows"), py::arg("pairs"), py::kw_only(), py::arg("transform"),
               py::arg("precision"), py::arg("diagonals"), py::arg("part"), py::arg("n_threads"), py::arg("advance"),
               py::arg("isa") = "auto");
    py::class_<Moments>(module, "Moments")
        .def(py::init([](std::vector<std::int64_t> widths, std::vector<std::pair<int, int>> pairs,
                         const std::string& transform, const std::string& precision, bool diagonals,
                         const std::string& isa) {
                 return Moments({std::move(widths), std::move(pairs), transform_from_name(transform),
                                 precision_from_name(precision), diagonals},
                                choose_isa(isa));
             }),
             py::arg("widths"), py::arg("pairs"), py::kw_only(), py::arg("transform"), py::arg("precision"),
             py::arg("diagonals") = false, py::arg("isa") = "auto")
        .def("update", &update, py::arg("chunk"), py::arg("n_threads"))
        .def("get_state", &get_state, py::arg("complete"), py::arg("n_threads") = 1)
        .def("set_state", &set_state, py::arg("state"))
        .def_property_readonly("n_samples", &Moments::n_samples)
        .def_property_readonly("isa", [](const Moments& self) { return isa_name(self.isa()); });
}
