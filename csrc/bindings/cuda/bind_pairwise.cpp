#include <pybind11/stl.h>

#include "bindings/cuda/module.h"
#include "bindings/gil.h"
#include "core/check.h"
#include "cuda/tiles/fused.h"
#include "cuda/tiles/pack.h"
#include "cuda/tiles/sums.h"
#include "cuda/tiles/tables.h"

namespace py = pybind11;
using namespace repsim::cuda;
using repsim::metric_from_name;

namespace {

using Address = std::uintptr_t;

template <class T>
T get(const py::dict& fields, const char* name) {
    REPSIM_CHECK(fields.contains(name), "a sweep of the GPU needs " << name);
    return fields[name].cast<T>();
}

template <class T>
T* address(const py::dict& fields, const char* name) {
    return pointer<T>(get<Address>(fields, name));
}

RowType row_type(const std::string& name) {
    if (name == "float16") return RowType::f16;
    if (name == "float32") return RowType::f32;
    REPSIM_CHECK(name == "float64", "packed rows must be float16, float32 or float64: got " << name);
    return RowType::f64;
}

PackedSide side_of(const py::dict& fields) {
    return {address<const void>(fields, "values"), address<const void>(fields, "half_squares"),
            address<const void>(fields, "scales"), address<const void>(fields, "operand")};
}

PairLayer layer_of(const py::dict& fields) {
    PairLayer layer;
    layer.left = side_of(get<py::dict>(fields, "left"));
    layer.right = side_of(get<py::dict>(fields, "right"));
    layer.value_type = row_type(get<std::string>(fields, "value_type"));
    layer.operand_type = row_type(get<std::string>(fields, "operand_type"));
    layer.value_stride = get<std::int64_t>(fields, "value_stride");
    layer.operand_stride = get<std::int64_t>(fields, "operand_stride");
    layer.left_offset = get<std::int64_t>(fields, "left_offset");
    layer.n_features = get<int>(fields, "n_features");
    layer.depth = get<int>(fields, "depth");
    layer.origin = get<double>(fields, "origin");
    layer.unit = get<double>(fields, "unit");
    layer.noise_scale = get<double>(fields, "noise_scale");
    layer.gamma = get<double>(fields, "gamma");
    layer.low = get<double>(fields, "low");
    layer.bin_scale = get<double>(fields, "bin_scale");
    layer.bins = get<int>(fields, "bins");
    layer.table = address<const float>(fields, "table");
    const auto map = get<std::string>(fields, "map");
    layer.map = map == "rbf"     ? MapKind::rbf
                : map == "expm1" ? MapKind::expm1
                : map == "table" ? MapKind::table
                                 : MapKind::none;
    layer.tile = address<void>(fields, "tile");
    return layer;
}

std::vector<PairLayer> layers_of(const std::vector<py::dict>& layers) {
    std::vector<PairLayer> result;
    for (const py::dict& fields : layers) result.push_back(layer_of(fields));
    return result;
}

PairPrecision pair_precision(const std::string& name) {
    if (name == "fp64") return PairPrecision::fp64;
    if (name == "fp32") return PairPrecision::fp32;
    REPSIM_CHECK(name == "fast", "precision of the GPU's tiles must be fp32, fp64 or fast: got " << name);
    return PairPrecision::fast;
}

SweepShape shape_of(const py::dict& fields) {
    SweepShape shape;
    shape.metric = metric_from_name(get<std::string>(fields, "metric"));
    shape.is_double = get<bool>(fields, "is_double");
    shape.symmetric = get<bool>(fields, "symmetric");
    shape.n_left = get<std::int64_t>(fields, "n_left");
    shape.n_right = get<std::int64_t>(fields, "n_right");
    shape.tile_rows = get<int>(fields, "tile_rows");
    shape.tile_cols = get<int>(fields, "tile_cols");
    REPSIM_CHECK(
        shape.tile_rows > 0 && shape.tile_cols > 0 && shape.tile_rows % kStrip == 0 && shape.tile_cols % kStrip == 0,
        "tiles of the GPU must be a multiple of " << kStrip << " high and wide");
    return shape;
}

using Pairs = std::vector<std::pair<int, int>>;

std::unique_ptr<PairSums> make_sums(const py::dict& shape, const std::vector<py::dict>& layers, Pairs pairs,
                                    const py::dict& segments, const py::dict& memory, const std::string& blas,
                                    int lanes, bool fused) {
    Segments cuts;
    cuts.row_begin = address<const std::int64_t>(segments, "row_begin");
    cuts.rows_of_cut = address<const std::int64_t>(segments, "rows_of_cut");
    cuts.rows_of_block = address<const std::int64_t>(segments, "rows_of_block");
    cuts.col_begin = address<const std::int64_t>(segments, "col_begin");
    cuts.cols_of_cut = address<const std::int64_t>(segments, "cols_of_cut");
    cuts.cols_of_block = address<const std::int64_t>(segments, "cols_of_block");
    cuts.of_tile_row = get<std::vector<std::int64_t>>(segments, "of_tile_row");
    cuts.block_of_segment = get<std::vector<std::int64_t>>(segments, "block_of_segment");
    cuts.n_col_segments = get<std::int64_t>(segments, "n_col_segments");
    cuts.n_blocks = get<std::int64_t>(segments, "n_blocks");
    PairSums::Memory where;
    where.sums = address<double>(memory, "sums");
    where.partial = address<double>(memory, "partial");
    where.rows = address<double>(memory, "rows");
    where.row_partial = address<double>(memory, "row_partial");
    where.col_partial = address<double>(memory, "col_partial");
    return std::make_unique<PairSums>(shape_of(shape), layers_of(layers), std::move(pairs), std::move(cuts), where,
                                      blas, lanes, fused);
}

}  // namespace

void bind_cuda_pairwise(py::module_& module) {
    module.attr("strip") = kStrip;
    module.attr("most_neighbours") = kMostNeighbours;
    module.attr("no_neighbour") = kNoNeighbour;
    module.attr("fused_row_cut") = kFusedRowCut;
    module.attr("fused_cols") = kFusedCols;
    module.def(
        "fused_available",
        [](const std::string& metric, int depth) { return fused_available(metric_from_name(metric), depth); },
        py::arg("metric"), py::arg("depth"));
    module.def(
        "pack_pairs",
        [](Address u, std::int64_t rows, int cols, const std::string& precision, std::int64_t stride, Address values,
           Address operand, Address half_squares, Address scales, Address stream) {
            const PackTarget target{pair_precision(precision),   stride,
                                    pointer<void>(values),       pointer<void>(operand),
                                    pointer<void>(half_squares), pointer<void>(scales)};
            repsim::GilReleased released;
            pack_pairs(pointer<const double>(u), rows, cols, target, stream_at(stream));
        },
        py::arg("u"), py::arg("rows"), py::arg("cols"), py::arg("precision"), py::arg("stride"), py::arg("values"),
        py::arg("operand"), py::arg("half_squares"), py::arg("scales"), py::arg("stream"));
    // module_local: the tests load these kernels and the emulated ones into one process.
    py::class_<PairSums>(module, "PairSums", py::module_local())
        .def(py::init(&make_sums), py::arg("shape"), py::arg("layers"), py::arg("pairs"), py::arg("segments"),
             py::arg("memory"), py::arg("blas"), py::arg("lanes"), py::arg("fused"))
        .def_property_readonly("n_tasks", &PairSums::n_tasks)
        .def(
            "run", [](PairSums& self, std::int64_t task, Address stream) { self.run(task, stream_at(stream)); },
            py::arg("task"), py::arg("stream"), py::call_guard<repsim::GilReleased>());
    py::class_<PairDistances>(module, "PairDistances", py::module_local())
        .def(py::init([](const py::dict& shape, const std::vector<py::dict>& layers, const std::string& blas) {
                 return std::make_unique<PairDistances>(shape_of(shape), layers_of(layers), blas);
             }),
             py::arg("shape"), py::arg("layers"), py::arg("blas"))
        .def_property_readonly("n_tasks", &PairDistances::n_tasks)
        .def(
            "run",
            [](PairDistances& self, std::int64_t task, Address out, Address stream) {
                self.run(task, pointer<void>(out), stream_at(stream));
            },
            py::arg("task"), py::arg("out"), py::arg("stream"), py::call_guard<repsim::GilReleased>());
    py::class_<PairHistograms>(module, "PairHistograms", py::module_local())
        .def(py::init([](const py::dict& shape, const std::vector<py::dict>& layers, Pairs pairs,
                         const std::string& blas, Address counts) {
                 return std::make_unique<PairHistograms>(shape_of(shape), layers_of(layers), std::move(pairs), blas,
                                                         pointer<std::uint64_t>(counts));
             }),
             py::arg("shape"), py::arg("layers"), py::arg("pairs"), py::arg("blas"), py::arg("counts"))
        .def_property_readonly("n_tasks", &PairHistograms::n_tasks)
        .def(
            "run", [](PairHistograms& self, std::int64_t task, Address stream) { self.run(task, stream_at(stream)); },
            py::arg("task"), py::arg("stream"), py::call_guard<repsim::GilReleased>());
    py::class_<PairNeighbours>(module, "PairNeighbours", py::module_local())
        .def(py::init([](const py::dict& shape, const py::dict& layer, const std::string& blas, bool without_self,
                         int k, Address values, Address indices) {
                 return std::make_unique<PairNeighbours>(shape_of(shape), layer_of(layer), blas, without_self, k,
                                                         pointer<void>(values), pointer<std::int32_t>(indices));
             }),
             py::arg("shape"), py::arg("layer"), py::arg("blas"), py::arg("without_self"), py::arg("k"),
             py::arg("values"), py::arg("indices"))
        .def_property_readonly("n_tasks", &PairNeighbours::n_tasks)
        .def(
            "run", [](PairNeighbours& self, std::int64_t task, Address stream) { self.run(task, stream_at(stream)); },
            py::arg("task"), py::arg("stream"), py::call_guard<repsim::GilReleased>());
}
