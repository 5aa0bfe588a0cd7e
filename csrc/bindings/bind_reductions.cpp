// The sweeps that count and select: histograms, joint histograms, nearest neighbours.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>
#include <variant>

#include "bindings/gil.h"
#include "neighbours/neighbours.h"
#include "neighbours/screened_sweep.h"
#include "ranks/histogram.h"

namespace py = pybind11;
using namespace repsim;

namespace {

using Layers = std::vector<std::shared_ptr<Panels>>;
using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;
using Ends = std::variant<double, std::vector<double>>;  // one for all layers, or one each

std::vector<PanelsPtr> shared(const Layers& layers) { return {layers.begin(), layers.end()}; }

std::vector<BinArgs> bins_of(std::size_t n_layers, const Ends& low, const Ends& high, std::int64_t bins) {
    const auto each = [&](const Ends& ends, const char* name) {
        if (const auto* one = std::get_if<double>(&ends)) return std::vector<double>(n_layers, *one);
        const auto& values = std::get<std::vector<double>>(ends);
        REPSIM_CHECK(values.size() == n_layers, name << " must be a number or one per layer: got " << values.size()
                                                     << " for " << n_layers << " layers");
        return values;
    };
    const std::vector<double> lows = each(low, "low"), highs = each(high, "high");
    std::vector<BinArgs> args;
    for (std::size_t l = 0; l < n_layers; ++l) args.push_back(equal_bins(lows[l], highs[l], bins));
    return args;
}

std::unique_ptr<HistogramSweep> make_histograms(const Layers& layers, const std::string& metric, const Ends& low,
                                                const Ends& high, std::int64_t bins) {
    return std::make_unique<HistogramSweep>(shared(layers), metric_from_name(metric),
                                            bins_of(layers.size(), low, high, bins));
}

std::unique_ptr<JointHistogramSweep> make_joint(const Layers& layers, const Pairs& pairs, const std::string& metric,
                                                const Ends& low, const Ends& high, std::int64_t bins) {
    return std::make_unique<JointHistogramSweep>(shared(layers), pairs, metric_from_name(metric),
                                                 bins_of(layers.size(), low, high, bins));
}

// The sweep's own memory, read-only: tables of 2^24 bins are not copied.
template <class Histogram>
py::array_t<std::uint64_t> counts_of(const py::object& owner, std::vector<py::ssize_t> shape) {
    auto& self = owner.cast<Histogram&>();
    const std::vector<std::uint64_t>* counts = nullptr;
    {
        GilReleased released;
        counts = &self.counts();
    }
    py::array_t<std::uint64_t> view(std::move(shape), counts->data(), owner);
    view.attr("setflags")(py::arg("write") = false);
    return view;
}

// screen: whether to; none: where it pays. The lists are the same.
std::unique_ptr<NeighbourSweep> make_neighbours(const std::shared_ptr<Panels>& x, const std::shared_ptr<Panels>& y,
                                                const std::string& metric, std::int64_t k, std::optional<bool> screen) {
    const Metric kind = metric_from_name(metric);
    const PanelsPtr left = x, right = y;
    if (screen.value_or(left != nullptr && screening_pays(*left, right ? *right : *left, kind, k)))
        return std::make_unique<ScreenedSweep>(left, right, kind, k);
    return std::make_unique<HeapSweep>(left, right, kind, k);
}

template <class T>
py::tuple neighbours_as(NeighbourSweep& self) {
    const std::vector<py::ssize_t> shape{self.n_rows(), self.k()};
    py::array_t<std::int64_t> indices(shape);
    py::array_t<T> values(shape);
    std::int64_t* index = indices.mutable_data();
    T* value = values.mutable_data();
    {
        GilReleased released;
        self.read(index, value);
    }
    return py::make_tuple(std::move(indices), std::move(values));
}

// None: not screened.
py::object counts_of_screening(const NeighbourSweep& self) {
    const auto* screened = dynamic_cast<const ScreenedSweep*>(&self);
    if (screened == nullptr) return py::none();
    const ScreenCounts counts = screened->counts();
    py::dict result;
    result["screened"] = counts.screened;
    result["unscreened"] = counts.unscreened;
    result["hits"] = counts.hits;
    result["computed"] = counts.computed;
    return result;
}

// For tests: (low, high, entry), each (n, n), of the pairs of rows of x before the metric's last function.
py::tuple bounds_of(const std::shared_ptr<Panels>& x, const std::string& metric) {
    const auto n = static_cast<py::ssize_t>(x->n_rows());
    std::array<py::array_t<float>, 3> parts;
    for (auto& part : parts) part = py::array_t<float>({n, n});
    screening_bounds(x, metric_from_name(metric), parts[0].mutable_data(), parts[1].mutable_data(),
                     parts[2].mutable_data());
    return py::make_tuple(parts[0], parts[1], parts[2]);
}

}  // namespace

void bind_reductions(py::module_& module) {
    py::class_<HistogramSweep, Sweep>(module, "HistogramSweep")
        .def(py::init(&make_histograms), py::arg("layers"), py::kw_only(), py::arg("metric"), py::arg("low"),
             py::arg("high"), py::arg("bins"))
        .def("result", [](const py::object& self) {
            const auto& sweep = self.cast<const HistogramSweep&>();
            return counts_of<HistogramSweep>(self, {sweep.layers(), sweep.bins()});
        });
    py::class_<JointHistogramSweep, Sweep>(module, "JointHistogramSweep")
        .def(py::init(&make_joint), py::arg("layers"), py::arg("pairs"), py::kw_only(), py::arg("metric"),
             py::arg("low"), py::arg("high"), py::arg("bins"))
        .def("result", [](const py::object& self) {
            const auto& sweep = self.cast<const JointHistogramSweep&>();
            return counts_of<JointHistogramSweep>(self, {sweep.pairs(), sweep.bins(), sweep.bins()});
        });
    py::class_<NeighbourSweep, Sweep>(module, "NeighbourSweep")
        .def(py::init(&make_neighbours), py::arg("x"), py::arg("y"), py::kw_only(), py::arg("metric"), py::arg("k"),
             py::arg("screen") = py::none())
        .def_property_readonly("counts", &counts_of_screening)
        .def("result", [](NeighbourSweep& self) {
            return self.is_double() ? neighbours_as<double>(self) : neighbours_as<float>(self);
        });
    module.def("can_screen", [](const Panels& rows, const std::string& metric) {
        return can_screen(rows, metric_from_name(metric));
    });
    module.def("screening_bounds", &bounds_of, py::arg("x"), py::arg("metric"));
}
