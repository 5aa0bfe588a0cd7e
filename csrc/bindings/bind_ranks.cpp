// Ranks of long vectors. Sums leave as Python integers: they are exact and outgrow 64 bits.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "core/check.h"
#include "pairwise/ranks.h"

namespace py = pybind11;
using namespace repsim;

namespace {

// Calls use(pointer, n) with the entries of a float32 or float64 vector, the GIL released; strided ones are copied.
template <class Use>
void with_values(const py::array& array, const Use& use) {
    REPSIM_CHECK(array.ndim() == 1, "ranks are made of a 1-D array: got " << array.ndim() << " dimensions");
    const auto name = py::str(array.dtype().attr("name")).cast<std::string>();
    REPSIM_CHECK(name == "float32" || name == "float64", "ranks are made of float32 or float64: got " << name);
    const auto call = [&](const auto& dense) {
        const auto* data = dense.data();
        const std::int64_t n = dense.shape(0);
        py::gil_scoped_release released;
        use(data, n);
    };
    if (name == "float32")
        call(py::array_t<float, py::array::c_style>(array));
    else
        call(py::array_t<double, py::array::c_style>(array));
}

py::array_t<double> midranks_of(const py::array& values, int n_threads) {
    py::array_t<double> ranks(values.size());
    double* out = ranks.mutable_data();
    with_values(values, [&](const auto* data, std::int64_t n) { midranks(data, n, out, n_threads); });
    return ranks;
}

struct Doubled {
    std::unique_ptr<std::uint32_t[]> ranks;
    std::int64_t n = 0;
};

Doubled doubled(const py::array& values, int n_threads) {
    Doubled made;
    with_values(values, [&](const auto* data, std::int64_t n) {
        made.n = n;
        made.ranks = std::make_unique_for_overwrite<std::uint32_t[]>(n);
        doubled_midranks(data, n, made.ranks.get(), n_threads);
    });
    return made;
}

// Calls use(x, y, n) with the doubled mid-ranks of both vectors, the GIL released.
template <class Use>
auto with_ranks(const py::array& x, const py::array& y, int n_threads, const Use& use) {
    REPSIM_CHECK(x.size() == y.size(), "vectors must have equal length: got " << x.size() << " and " << y.size());
    const Doubled a = doubled(x, n_threads), b = doubled(y, n_threads);
    py::gil_scoped_release released;
    return use(a.ranks.get(), b.ranks.get(), a.n);
}

py::int_ integer(Int128 value) {
    const py::int_ high(static_cast<std::int64_t>(value >> 64)), low(static_cast<std::uint64_t>(value));
    return py::int_((high << py::int_(64)) + low);
}

py::tuple spearman_sums(const py::array& x, const py::array& y, int n_threads) {
    const RankSums sums = with_ranks(
        x, y, n_threads, [&](const auto* a, const auto* b, std::int64_t n) { return rank_sums(a, b, n, n_threads); });
    return py::make_tuple(integer(sums.xx), integer(sums.xy), integer(sums.yy));
}

py::tuple kendall(const py::array& x, const py::array& y, int n_threads) {
    const KendallCounts counts = with_ranks(x, y, n_threads, [&](const auto* a, const auto* b, std::int64_t n) {
        return kendall_counts(a, b, n, n_threads);
    });
    return py::make_tuple(counts.pairs, counts.concordant_minus_discordant, counts.ties_x, counts.ties_y,
                          counts.ties_both);
}

}  // namespace

void bind_ranks(py::module_& module) {
    module.def("midranks", &midranks_of, py::arg("values"), py::arg("n_threads"));
    module.def("spearman_sums", &spearman_sums, py::arg("x"), py::arg("y"), py::arg("n_threads"));
    module.def("kendall_counts", &kendall, py::arg("x"), py::arg("y"), py::arg("n_threads"));
}
