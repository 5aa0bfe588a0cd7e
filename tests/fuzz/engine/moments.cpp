// Streaming moments: the same bits however rows are cut, laid out, threaded or saved in between; sums against loops.
#include "moments/moments.h"

#include "input.h"

using namespace repsim;
using namespace repsim::fuzzing;

namespace {

struct Sums {
    std::vector<std::vector<double>> shifts, products, cross, weighted;
    std::vector<double> norms;
    std::int64_t n_samples;
};

Sums read(const Moments& moments, bool complete, int n_threads) {
    const auto& config = moments.config();
    const auto sides = config.widths.size();
    Sums sums;
    Moments::Readout out;
    const auto place = [](std::vector<std::vector<double>>& list, std::int64_t count) {
        list.emplace_back(static_cast<std::size_t>(count), std::nan(""));
    };
    for (std::size_t s = 0; s < sides; ++s) {
        sums.shifts.push_back(moments.shift(static_cast<int>(s)));
        place(sums.products, config.widths[s] * config.widths[s]);
        place(sums.weighted, (1 + static_cast<std::int64_t>(sides)) * config.widths[s]);
    }
    for (auto [i, j] : config.pairs) place(sums.cross, config.widths[i] * config.widths[j]);
    sums.norms.resize((1 + sides) * sides);
    for (auto& values : sums.products) out.products.push_back(values.data());
    for (auto& values : sums.cross) out.cross.push_back(values.data());
    for (auto& values : sums.weighted) out.weighted.push_back(values.data());
    out.norms = sums.norms.data();
    moments.read(complete, out, n_threads);
    sums.n_samples = moments.n_samples();
    return sums;
}

// Saved and restored, as the bindings do it.
std::unique_ptr<Moments> copied(const Moments& moments) {
    const Sums sums = read(moments, false, 1);
    auto made = std::make_unique<Moments>(moments.config(), moments.isa());
    Moments& copy = *made;
    std::vector<std::vector<double>> pending;
    std::vector<const double*> rows;
    for (std::size_t s = 0; s < sums.products.size(); ++s) {
        const int side = static_cast<int>(s);
        copy.write_self(side, sums.products[s].data());
        copy.write_weighted(side, sums.weighted[s].data());
        const std::int64_t count = moments.n_pending() * moments.config().widths[s];
        pending.emplace_back(moments.pending(side), moments.pending(side) + count);
    }
    for (const auto& values : pending) rows.push_back(values.data());
    for (std::size_t p = 0; p < sums.cross.size(); ++p) copy.write_cross(static_cast<int>(p), sums.cross[p].data());
    copy.write_norms(sums.norms.data());
    copy.restore(sums.n_samples / Moments::kBlockRows, sums.shifts);
    copy.write_pending(moments.n_pending(), rows);
    return made;
}

void expect_same(const std::vector<double>& a, const std::vector<double>& b, const char* what) {
    EXPECT(a.size() == b.size(), "%s", what);
    for (std::size_t i = 0; i < a.size(); ++i)
        EXPECT(std::bit_cast<std::uint64_t>(a[i]) == std::bit_cast<std::uint64_t>(b[i]) ||
                   (std::isnan(a[i]) && std::isnan(b[i])),
               "%s[%zu]: %a and %a", what, i, a[i], b[i]);
}

void expect_same(const Sums& a, const Sums& b) {
    EXPECT(a.n_samples == b.n_samples, "%ld and %ld", a.n_samples, b.n_samples);
    for (std::size_t s = 0; s < a.products.size(); ++s) {
        expect_same(a.shifts[s], b.shifts[s], "shift");
        expect_same(a.products[s], b.products[s], "products");
        expect_same(a.weighted[s], b.weighted[s], "weighted");
    }
    for (std::size_t p = 0; p < a.cross.size(); ++p) expect_same(a.cross[p], b.cross[p], "cross");
    expect_same(a.norms, b.norms, "norms");
}

// The product of two sides' shifted rows by a loop, where numbers are of ordinary size.
void check_products(const Rows& x, const Rows& y, const std::vector<double>& c, const std::vector<double>& e,
                    const std::vector<double>& found, double unit) {
    const std::int64_t n = x.view.rows, dy = y.view.cols;
    for (std::int64_t j = 0; j < x.view.cols; ++j)
        for (std::int64_t k = 0; k < dy; ++k) {
            double sum = 0, magnitude = 0;
            for (std::int64_t r = 0; r < n; ++r) {
                const double product = (x.at(r, j) - c[j]) * (y.at(r, k) - e[k]);
                sum += product, magnitude += std::abs(product);
            }
            const double got = found[static_cast<std::size_t>(j * dy + k)];
            EXPECT(std::abs(got - sum) <= 300 * unit * magnitude + 1e-30, "[%ld, %ld]: %.17g instead of %.17g", j, k,
                   got, sum);
        }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const Isa isa = any_isa(input);
    MomentsConfig config;
    const std::int64_t sides = input.number(1, 3), n_pairs = input.number(0, 2);
    for (std::int64_t s = 0; s < sides; ++s) config.widths.push_back(input.number(1, input.one_of({5, 18, 70})));
    for (std::int64_t p = 0; p < n_pairs; ++p) {
        const auto left = static_cast<int>(input.number(0, sides - 1));
        config.pairs.emplace_back(left, static_cast<int>(input.number(0, sides - 1)));
    }
    config.transform = input.one_of({RowTransform::raw, RowTransform::unit, RowTransform::unit_centred});
    config.precision = input.one_of({Precision::fp64, Precision::fp32});
    const std::int64_t n = input.number(0, input.one_of({4, 300, 1100}));
    const auto kind = any_kind(input);
    Numbers numbers(input, kind);
    std::vector<Rows> rows;
    for (std::int64_t s = 0; s < sides; ++s)
        rows.push_back(any_rows(input, numbers, n, config.widths[s], any_dtype(input), true, true));

    const auto part = [&](std::int64_t begin, std::int64_t end) {
        std::vector<MatrixView> views;
        for (const Rows& side : rows) {
            views.push_back(side.view);
            views.back().data = side.view.row(begin);
            views.back().rows = end - begin;
        }
        return views;
    };
    Moments whole(config, isa);
    auto cut = std::make_unique<Moments>(config, isa);
    whole.update(part(0, n), 1);
    for (std::int64_t begin = 0; begin < n;) {
        const std::int64_t end = std::min(n, begin + input.number(0, input.one_of({1, 255, 600})) + 1);
        const std::uint8_t between = input.byte();
        cut->update(part(begin, end), 1 + between % 3);
        if (between & 4) read(*cut, true, 2);
        if (between & 8) cut = copied(*cut);
        begin = end;
    }
    const Sums due = read(whole, true, 1);
    expect_same(read(*cut, true, 3), due);
    expect_same(read(*copied(*cut), true, 2), due);
    EXPECT(due.n_samples == n, "%ld rows instead of %ld", due.n_samples, n);
    if (config.transform != RowTransform::raw || kind > Numbers::decimals || n > 700) return 0;
    for (const Rows& side : rows)  // overlapping elements make any number of others
        for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t j = 0; j < side.view.cols; ++j)
                if (std::abs(side.at(i, j)) > 1000) return 0;
    const double unit = config.precision == Precision::fp32 ? 6e-8 : 1.2e-16;
    for (std::int64_t s = 0; s < sides; ++s)
        check_products(rows[s], rows[s], due.shifts[s], due.shifts[s], due.products[s], unit);
    for (std::int64_t p = 0; p < n_pairs; ++p) {
        const auto [i, j] = config.pairs[p];
        check_products(rows[i], rows[j], due.shifts[i], due.shifts[j], due.cross[p], unit);
    }
    return 0;
}
