#include "neighbours/screen.h"

#include "core/thread_pool.h"

namespace repsim {

#ifdef PYREPSIM_X86
namespace isa_avx512bf16 {
extern const ScreenKernels screening;
}
#endif

const ScreenKernels* screen_kernels(Isa isa) {
#ifdef PYREPSIM_X86
    __builtin_cpu_init();
    if (isa == Isa::avx512 && __builtin_cpu_supports("avx512bf16")) return &isa_avx512bf16::screening;
#endif
    (void)isa;
    return nullptr;
}

bool can_screen(const Panels& rows, Metric metric) {
    return metric != Metric::manhattan && metric != Metric::chebyshev && rows.precision() == TilePrecision::fp32 &&
           screen_kernels(rows.isa()) != nullptr;
}

// The bounds of the README with a margin: twice what rounding to nearest can do, two roundings a pair of features, and
// the last operations on bound and entry.
ErrorShares error_shares(std::int64_t n_features, const ScreenKernels& kernels) {
    constexpr double e = 0x1p-24;
    const auto sums = [&](std::int64_t run) {
        const std::int64_t n_runs = (n_features + run - 1) / run;
        return static_cast<double>(run + n_runs);
    };
    const double of_tile = 2 * (sums(kernels.tile_run) + 16) * e;
    const double of_screen = 2 * (sums(kernels.run) + 16) * e;
    return {of_tile + of_screen, of_tile, static_cast<double>(n_features) * 0x1p-124};
}

ScreenedRows::ScreenedRows(PanelsPtr panels, Metric metric, int n_threads)
    : panels_(std::move(panels)), nr_(panels_->kernels().nr) {
    const ScreenKernels& kernels = *screen_kernels(panels_->isa());
    const std::int64_t n_features = panels_->n_features();
    std::vector<std::int64_t> block_of_panel;
    for (std::int64_t block = 0; block < panels_->n_blocks(); ++block) {
        first_row_.push_back(static_cast<std::int64_t>(block_of_panel.size()) * nr_);
        const std::int64_t n_rows = panels_->blocks()[block + 1] - panels_->blocks()[block];
        block_of_panel.insert(block_of_panel.end(), (n_rows + nr_ - 1) / nr_, block);
        for (std::int64_t row = 0; row < n_rows; ++row) places_.push_back(first_row_.back() + row);
    }
    const auto n_panels = static_cast<std::int64_t>(block_of_panel.size());
    pairs_ = AlignedBuffer<std::uint32_t>::uninitialised(n_panels * nr_ * n_pairs());
    rows_ = AlignedBuffer<float>::uninitialised(n_panels * nr_ * n_features);
    for (auto& term : terms_) term = AlignedBuffer<float>::uninitialised(n_panels * nr_);
    parallel_for(n_panels, n_threads, [&](std::int64_t panel, int) {
        const std::int64_t block = block_of_panel[panel], first = panel * nr_;
        const PackedRows packed = panels_->at(block, first - first_row_[block]);
        NarrowArgs args{};
        args.panel = static_cast<const float*>(packed.values);
        args.half_squares = static_cast<const float*>(packed.terms[half_square]);
        args.n_features = n_features;
        args.squares_count = squares_count(metric);
        args.errors = error_shares(n_features, kernels);
        args.pairs = pairs_.data() + first * n_pairs();
        args.rows = rows_.data() + first * n_features;
        for (int t = 0; t < 3; ++t) args.terms[t] = terms_[t].data() + first;
        kernels.narrow(args);
    });
}

PackedRows ScreenedRows::at(std::int64_t block, std::int64_t row) const {
    const std::int64_t place = first_row_[block] + row;
    PackedRows result{};
    result.values = pairs_.data() + place * n_pairs();
    for (int t = 0; t < 3; ++t) result.terms[t] = terms_[t].data() + place;
    return result;
}

ScreenedRows::Row ScreenedRows::row(std::int64_t row) const {
    const std::int64_t place = places_[row];
    const auto* squares = static_cast<const float*>(panels_->at(0, 0).terms[half_square]);
    return {rows_.data() + place * panels_->n_features(), squares[place]};
}

}  // namespace repsim
