// Ranks of long vectors, and rounding of their entries. Sums leave as Python integers: they are exact and outgrow
// 64 bits.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "bindings/gil.h"
#include "core/check.h"
#include "ranks/ranks.h"
#include "ranks/round_entries.h"

namespace py = pybind11;
using namespace repsim;

namespace {

// The entries of a float32 or float64 vector; strided ones are copied.
class Values {
  public:
    explicit Values(const py::array& array) {
        REPSIM_CHECK(array.ndim() == 1, "ranks are made of a 1-D array: got " << array.ndim() << " dimensions");
        const auto name = py::str(array.dtype().attr("name")).cast<std::string>();
        REPSIM_CHECK(name == "float32" || name == "float64", "ranks are made of float32 or float64: got " << name);
        if (name == "float32")
            dense_ = py::array_t<float, py::array::c_style>(array);
        else
            dense_ = py::array_t<double, py::array::c_style>(array);
        is_double_ = name == "float64";
        data_ = dense_.data();
        n_ = dense_.size();
    }
    std::int64_t size() const { return n_; }
    const void* data() const { return data_; }

    // use(const float* or const double*), the GIL not needed.
    template <class Use>
    auto visit(const Use& use) const {
        return is_double_ ? use(static_cast<const double*>(data_)) : use(static_cast<const float*>(data_));
    }

  private:
    py::array dense_;
    const void* data_;
    std::int64_t n_;
    bool is_double_;
};

// Calls use(x, y, n) with the entries of both, the GIL released.
template <class Use>
auto with_both(const py::array& x, const py::array& y, const Use& use) {
    const Values a(x), b(y);
    REPSIM_CHECK(a.size() == b.size(), "vectors must have equal length: got " << a.size() << " and " << b.size());
    GilReleased released;
    return a.visit(
        [&](const auto* of_x) { return b.visit([&](const auto* of_y) { return use(of_x, of_y, a.size()); }); });
}

py::array_t<double> midranks_of(const py::array& values, int n_threads) {
    const Values in(values);
    py::array_t<double> ranks(in.size());
    double* out = ranks.mutable_data();
    GilReleased released;
    in.visit([&](const auto* data) { midranks(data, in.size(), out, n_threads); });
    return ranks;
}

py::int_ integer(Int128 value) {
    const py::int_ high(static_cast<std::int64_t>(value >> 64)), low(static_cast<std::uint64_t>(value));
    return py::int_((high << py::int_(64)) + low);
}

py::tuple spearman(const py::array& x, const py::array& y, int n_threads) {
    const RankSums sums = with_both(
        x, y, [&](const auto* a, const auto* b, std::int64_t n) { return spearman_sums(a, b, n, n_threads); });
    return py::make_tuple(integer(sums.xx), integer(sums.xy), integer(sums.yy));
}

py::tuple kendall(const py::array& x, const py::array& y, int n_threads) {
    const KendallCounts counts = with_both(x, y, [&](const auto* a, const auto* b, std::int64_t n) {
        const auto of_x = std::make_unique_for_overwrite<std::uint32_t[]>(n);
        const auto of_y = std::make_unique_for_overwrite<std::uint32_t[]>(n);
        doubled_midranks(a, n, of_x.get(), n_threads);
        doubled_midranks(b, n, of_y.get(), n_threads);
        return kendall_counts(of_x.get(), of_y.get(), n, n_threads);
    });
    return py::make_tuple(counts.pairs, counts.concordant_minus_discordant, counts.ties_x, counts.ties_y,
                          counts.ties_both);
}

using Ranks = py::array_t<std::uint32_t, py::array::c_style>;

Ranks ranks_of(const py::array& rows, int n_threads) {
    REPSIM_CHECK(rows.ndim() == 2 && py::isinstance<py::array_t<double>>(rows),
                 "ranks of rows are made of a 2-D array of float64: got " << rows.ndim() << " dimensions of "
                                                                          << std::string(py::str(rows.dtype())));
    const py::array_t<double, py::array::c_style> dense(rows);
    const std::int64_t n_rows = dense.shape(0), n = dense.shape(1);
    Ranks ranks({n_rows, n});
    const double* values = dense.data();
    std::uint32_t* out = ranks.mutable_data();
    GilReleased released;
    ranks_of_rows(values, n_rows, n, out, n_threads);
    return ranks;
}

py::tuple kendall_of(const py::array& x, const py::array& y, int n_threads) {
    for (const auto& ranks : {x, y})
        REPSIM_CHECK(ranks.ndim() == 2 && py::isinstance<py::array_t<std::uint32_t>>(ranks),
                     "ranks must be those of ranks_of_rows");
    const Ranks of_x(x), of_y(y);
    const std::int64_t a = of_x.shape(0), b = of_y.shape(0), n = of_x.shape(1);
    REPSIM_CHECK(of_y.shape(1) == n, "rows must have equal length: got " << n << " and " << of_y.shape(1));
    py::array_t<std::int64_t> difference({a, b}), ties_x(a), ties_y(b);
    const KendallOfRows out{difference.mutable_data(), ties_x.mutable_data(), ties_y.mutable_data()};
    {
        GilReleased released;
        for (const Ranks* ranks : {&of_x, &of_y})
            for (std::int64_t i = 0; i < ranks->size(); ++i)
                REPSIM_CHECK(ranks->data()[i] - 2u <= static_cast<std::uint64_t>(2 * (n - 1)),
                             "ranks must be those of ranks_of_rows: got " << ranks->data()[i]);
        kendall_of_rows(of_x.data(), a, of_y.data(), b, n, out, n_threads);
    }
    return py::make_tuple(difference, ties_x, ties_y);
}

py::tuple round_in_place(const py::array& entries, int n_threads) {
    const Values values(entries);
    REPSIM_CHECK(entries.writeable() && values.data() == entries.data(),
                 "entries must be a writeable C-contiguous array of native byte order");
    EntryRange range;
    {
        GilReleased released;
        range = values.visit(
            [&]<class T>(const T* data) { return round_entries(const_cast<T*>(data), values.size(), n_threads); });
    }
    return py::make_tuple(range.low, range.high);
}

}  // namespace

void bind_ranks(py::module_& module) {
    module.def("round_entries", &round_in_place, py::arg("entries"), py::arg("n_threads"));
    module.def("midranks", &midranks_of, py::arg("values"), py::arg("n_threads"));
    module.def("spearman_sums", &spearman, py::arg("x"), py::arg("y"), py::arg("n_threads"));
    module.def("ranks_of_rows", &ranks_of, py::arg("rows"), py::arg("n_threads"));
    module.def("kendall_of_rows", &kendall_of, py::arg("x"), py::arg("y"), py::arg("n_threads"));
    module.def("kendall_counts", &kendall, py::arg("x"), py::arg("y"), py::arg("n_threads"));
}
