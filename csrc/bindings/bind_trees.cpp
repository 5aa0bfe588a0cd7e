// Trees from arc scores. An error is returned as a tuple, not raised: Python chooses its type.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "bindings/gil.h"
#include "core/check.h"
#include "trees/arborescence.h"

namespace py = pybind11;
using namespace repsim;

namespace {

template <class Score>
TreeReport decode_into(const py::array& scores, const std::int64_t* lengths, std::int64_t* heads, int n_threads) {
    const py::array_t<Score, py::array::c_style> dense(scores);
    const Score* data = dense.data();
    const std::int64_t batch = dense.shape(0), n_words = dense.shape(1);
    GilReleased released;
    return arborescences(data, lengths, batch, n_words, heads, n_threads);
}

py::tuple decode(const py::array& scores, const py::array_t<std::int64_t, py::array::c_style>& lengths, int n_threads) {
    REPSIM_CHECK(scores.ndim() == 3 && scores.shape(2) == scores.shape(1) + 1,
                 "arc scores must have shape (batch, words, 1 + words)");
    REPSIM_CHECK(lengths.ndim() == 1 && lengths.shape(0) == scores.shape(0), "there must be one length a sentence");
    const auto name = py::str(scores.dtype().attr("name")).cast<std::string>();
    REPSIM_CHECK(name == "float32" || name == "float64", "arc scores must be float32 or float64: got " << name);
    py::array_t<std::int64_t> heads({scores.shape(0), scores.shape(1)});
    const TreeReport report = name == "float32"
                                  ? decode_into<float>(scores, lengths.data(), heads.mutable_data(), n_threads)
                                  : decode_into<double>(scores, lengths.data(), heads.mutable_data(), n_threads);
    if (report.fault == TreeFault::none) return py::make_tuple(heads, py::none());
    const char* fault = report.fault == TreeFault::score ? "score" : "no tree";
    return py::make_tuple(heads, py::make_tuple(fault, report.sentence, report.word, report.head));
}

}  // namespace

void bind_trees(py::module_& module) {
    module.def("arborescences", &decode, py::arg("scores"), py::arg("lengths"), py::arg("n_threads"));
}
