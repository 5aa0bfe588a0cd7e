// Translates; does not compute. The GIL is released while the engine works.
#include <pybind11/stl.h>

#include <memory>
#include <optional>

#include "bindings/array_view.h"
#include "bindings/enum_names.h"
#include "bindings/gil.h"
#include "tiles/distance_sweep.h"
#include "tiles/small_sets.h"
#include "tiles/sum_sweep.h"

namespace py = pybind11;
using namespace repsim;

namespace {

using Dense = py::array_t<double, py::array::c_style>;
using Indices = py::array_t<std::int64_t, py::array::c_style>;
using MutablePanels = std::shared_ptr<Panels>;  // what pybind11 holds

MutablePanels make_panels(const py::array& rows, const std::string& transform, const std::optional<Dense>& shift,
                          const std::string& precision, const std::vector<std::int64_t>& blocks, int n_threads,
                          const std::string& isa) {
    const MatrixView view = view_of(rows);
    std::vector<double> origin;
    if (shift) origin.assign(shift->data(), shift->data() + shift->size());
    const RowTransform kind = transform_from_name(transform);
    const TilePrecision tile_precision = tile_precision_from_name(precision);
    const Isa level = choose_isa(isa);
    GilReleased released;
    return std::make_shared<Panels>(view, kind, origin, tile_precision, blocks, n_threads, level);
}

Dense mean_of(const py::array& rows, const std::string& transform, int n_threads, const std::string& isa) {
    const MatrixView view = view_of(rows);
    const RowTransform kind = transform_from_name(transform);
    const Isa level = choose_isa(isa);
    std::vector<double> mean;
    {
        GilReleased released;
        mean = mean_row(view, kind, n_threads, level);
    }
    return Dense(static_cast<py::ssize_t>(mean.size()), mean.data());
}

// (rows . towards, rows . rows), one of each for each row.
py::tuple dots_of(const py::array& rows, const Dense& towards, int n_threads, const std::string& isa) {
    const MatrixView view = view_of(rows);
    REPSIM_CHECK(towards.size() == view.cols,
                 "rows of " << view.cols << " features cannot be multiplied by " << towards.size() << " numbers");
    Dense dots(view.rows), squares(view.rows);
    double *dot = dots.mutable_data(), *square = squares.mutable_data();
    const Isa level = choose_isa(isa);
    {
        GilReleased released;
        dot_rows(view, towards.data(), n_threads, level, dot, square);
    }
    return py::make_tuple(dots, squares);
}

EntryMap entry_map(const py::object& map, double origin) {
    EntryMap result;
    result.args.origin = origin;
    if (map.is_none()) return result;
    const auto words = map.cast<py::tuple>();
    const auto kind = words[0].cast<std::string>();
    if (kind == "rbf" || kind == "expm1") {
        result.args.kind = kind == "rbf" ? MapKind::rbf : MapKind::expm1;
        result.args.gamma = words[1].cast<double>();
        return result;
    }
    REPSIM_CHECK(kind == "table", "a map must be None, rbf, expm1 or table: got " << kind);
    const auto table = words[3].cast<py::array_t<float, py::array::c_style | py::array::forcecast>>();
    result.args.kind = MapKind::table;
    result.args.low = words[1].cast<double>();
    result.args.scale = static_cast<double>(table.size()) / (words[2].cast<double>() - result.args.low);
    result.table.assign(table.data(), table.data() + table.size());
    return result;
}

std::unique_ptr<SumSweep> make_sums(const std::vector<MutablePanels>& layers,
                                    std::vector<std::pair<std::int64_t, std::int64_t>> pairs, const std::string& metric,
                                    const std::vector<py::object>& maps, const std::vector<double>& origins,
                                    bool row_sums) {
    REPSIM_CHECK(maps.size() == origins.size(),
                 "maps and origins must be one per layer: got " << maps.size() << " and " << origins.size());
    std::vector<EntryMap> entry_maps;
    for (std::size_t l = 0; l < maps.size(); ++l) entry_maps.push_back(entry_map(maps[l], origins[l]));
    return std::make_unique<SumSweep>(std::vector<PanelsPtr>(layers.begin(), layers.end()), std::move(pairs),
                                      metric_from_name(metric), std::move(entry_maps), row_sums);
}

Dense shaped(const std::vector<double>& values, std::vector<py::ssize_t> shape) {
    return Dense(std::move(shape), values.data());
}

py::dict sums_of(const SumSweep& self) {
    const py::ssize_t s = self.n_blocks();
    py::dict result;
    result["entries"] = shaped(self.entries(), {s, s});
    result["first"] = shaped(self.first(), {self.layers(), s, s});
    result["second"] = shaped(self.second(), {self.layers(), s, s});
    result["cross"] = shaped(self.cross(), {self.pairs(), s, s});
    if (self.has_row_sums()) result["rows"] = shaped(self.rows(), {self.layers(), self.n_rows()});
    return result;
}

// A sweep and the array it writes to.
struct BoundDistances : DistanceSweep {
    BoundDistances(const MutablePanels& x, const MutablePanels& y, Metric metric, py::array out_array)
        : DistanceSweep(x, y, metric, out_array.mutable_data(), out_array.itemsize() == sizeof(double),
                        out_array.size()),
          out(std::move(out_array)) {}
    py::array out;
};

void check_out(const py::array& out) {
    const bool floating = py::isinstance<py::array_t<double>>(out) || py::isinstance<py::array_t<float>>(out);
    REPSIM_CHECK(floating && out.writeable() && (out.flags() & py::array::c_style) != 0,
                 "out must be a writeable C-contiguous float32 or float64 array");
}

std::unique_ptr<BoundDistances> make_distances(const MutablePanels& x, const MutablePanels& y,
                                               const std::string& metric, py::array out) {
    check_out(out);
    return std::make_unique<BoundDistances>(x, y, metric_from_name(metric), std::move(out));
}

// Small sets, the arrays that hold them and the one that is written to.
struct BoundSets : SmallSets {
    BoundSets(RowSets sets, const Options& options, py::array rows_array, py::array out_array, Isa isa)
        : SmallSets(std::move(sets), options, out_array.mutable_data(), out_array.itemsize() == sizeof(double),
                    out_array.size(), isa),
          rows(std::move(rows_array)),
          out(std::move(out_array)) {}
    py::array rows, out;
};

// rows: (n, d) of one set, (n_sets, n, d), or with features (n, d), of which set s is the features [ends[s - 1], ends[s]).
std::unique_ptr<BoundSets> make_sets(py::array rows, const std::optional<Indices>& features,
                                     const std::optional<Indices>& ends, const std::string& metric,
                                     const std::string& transform, bool shifted, const std::string& precision,
                                     std::int64_t few_features, std::pair<double, double> sizes, py::array out,
                                     const std::string& isa) {
    check_out(out);
    RowSets sets;
    REPSIM_CHECK(features.has_value() == ends.has_value(), "features and their ends go together");
    if (features) {
        sets.first = view_of(rows);
        sets.features.assign(features->data(), features->data() + features->size());
        sets.ends.assign(ends->data(), ends->data() + ends->size());
        sets.count = ends->size();
        REPSIM_CHECK(sets.count > 0, "features must be of at least one set");
    } else {
        const py::ssize_t axis = rows.ndim() - 2;  // of the rows
        REPSIM_CHECK(axis == 0 || axis == 1, "sets of rows must be a 2-D or 3-D array: got " << rows.ndim() << "-D");
        sets.first = {static_cast<const char*>(rows.data()),
                      dtype_of(rows),
                      rows.shape(axis),
                      rows.shape(axis + 1),
                      rows.strides(axis),
                      rows.strides(axis + 1)};
        sets.count = axis == 0 ? 1 : rows.shape(0);
        sets.stride = axis == 0 ? 0 : rows.strides(0);
    }
    const SmallSets::Options options{metric_from_name(metric),
                                     transform_from_name(transform),
                                     shifted,
                                     tile_precision_from_name(precision),
                                     few_features,
                                     sizes.first,
                                     sizes.second};
    return std::make_unique<BoundSets>(std::move(sets), options, std::move(rows), std::move(out), choose_isa(isa));
}

Dense grid_centre(const py::array& rows, const std::string& isa) {
    const MatrixView view = view_of(rows);
    Dense centre(view.cols);
    double* out = centre.mutable_data();
    const Isa level = choose_isa(isa);
    GilReleased released;
    centre_on_grid(view, level, out);
    return centre;
}

}  // namespace

void bind_pairwise(py::module_& module) {
    module.def("mean_row", &mean_of, py::arg("rows"), py::arg("transform"), py::arg("n_threads"),
               py::arg("isa") = "auto");
    module.def("dot_rows", &dots_of, py::arg("rows"), py::arg("towards"), py::arg("n_threads"),
               py::arg("isa") = "auto");
    module.def("centre_on_grid", &grid_centre, py::arg("rows"), py::arg("isa") = "auto");
    py::class_<BoundSets>(module, "SmallSets")
        .def(py::init(&make_sets), py::arg("rows"), py::arg("features"), py::arg("ends"), py::kw_only(),
             py::arg("metric"), py::arg("transform"), py::arg("shifted"), py::arg("precision"), py::arg("few_features"),
             py::arg("sizes"), py::arg("out"), py::arg("isa") = "auto")
        .def_property_readonly("n_tasks", &SmallSets::n_tasks)
        .def("run", &SmallSets::run, py::arg("begin"), py::arg("end"), py::arg("n_threads"),
             py::call_guard<GilReleased>())
        .def("result", &SmallSets::left_out);
    module.attr("MOST_ROWS_OF_SMALL_SETS") = SmallSets::kMostRows;
    py::class_<Panels, MutablePanels>(module, "Panels")
        .def(py::init(&make_panels), py::arg("rows"), py::kw_only(), py::arg("transform"), py::arg("shift"),
             py::arg("precision"), py::arg("blocks"), py::arg("n_threads"), py::arg("isa") = "auto")
        .def_property_readonly("n_rows", &Panels::n_rows)
        .def_property_readonly("n_features", &Panels::n_features)
        .def_property_readonly("precision", [](const Panels& self) { return name_of(self.precision()); })
        .def_property_readonly("isa", [](const Panels& self) { return isa_name(self.isa()); })
        .def_property_readonly("nbytes", &Panels::nbytes)
        .def_property_readonly("blocks", [](const Panels& self) {
            return py::array_t<std::int64_t>(static_cast<py::ssize_t>(self.blocks().size()), self.blocks().data());
        });
    py::class_<Sweep>(module, "Sweep")
        .def_property_readonly("n_tasks", &Sweep::n_tasks)
        .def("run", &Sweep::run, py::arg("begin"), py::arg("end"), py::arg("n_threads"), py::call_guard<GilReleased>());
    py::class_<SumSweep, Sweep>(module, "SumSweep")
        .def(py::init(&make_sums), py::arg("layers"), py::arg("pairs"), py::kw_only(), py::arg("metric"),
             py::arg("maps"), py::arg("origins"), py::arg("row_sums"))
        .def("result", &sums_of);
    py::class_<BoundDistances, Sweep>(module, "DistanceSweep")
        .def(py::init(&make_distances), py::arg("x"), py::arg("y"), py::kw_only(), py::arg("metric"), py::arg("out"))
        .def("result", [](const BoundDistances& self) { return self.out; });
}
