#include "tiles/panels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "core/thread_pool.h"

namespace repsim {
namespace {

// Rows of a view as the packing kernels read them: elements next to each other.
class ContiguousRows {
  public:
    ContiguousRows(const MatrixView& view, std::int64_t begin, std::int64_t end)
        : first_(view.row(begin)), stride_(view.row_stride), dtype_(view.dtype) {
        if (view.rows_are_contiguous()) return;
        const auto element = static_cast<std::int64_t>(size_of(view.dtype));
        stride_ = view.cols * element;
        copy_.resize((end - begin) * stride_);
        for (std::int64_t j = 0; j < view.cols; ++j)  // column by column: in Fortran order these are runs
            for (std::int64_t r = begin; r < end; ++r)
                std::memcpy(copy_.data() + (r - begin) * stride_ + j * element, view.row(r) + j * view.col_stride,
                            element);
        first_ = copy_.data();
    }
    const char* first() const { return first_; }
    std::int64_t stride() const { return stride_; }
    RowsArgs args(std::int64_t n_rows, std::int64_t width) const { return {first_, stride_, dtype_, n_rows, width}; }

  private:
    std::vector<char> copy_;
    const char* first_;
    std::int64_t stride_;
    DType dtype_;
};

std::int64_t panels_for(std::int64_t rows, std::int64_t nr) { return (rows + nr - 1) / nr; }

}  // namespace

Panels::Panels(const MatrixView& rows, RowTransform transform, const std::vector<double>& shift,
               TilePrecision precision, std::vector<std::int64_t> blocks, int n_threads, Isa isa)
    : blocks_(std::move(blocks)),
      n_features_(rows.cols),
      precision_(precision),
      isa_(isa),
      kernels_(pair_kernels(isa, precision)) {
    REPSIM_CHECK(rows.rows > 0 && rows.cols > 0,
                 "rows must have at least one row and one feature: got " << rows.rows << " x " << rows.cols);
    REPSIM_CHECK(shift.empty() || static_cast<std::int64_t>(shift.size()) == rows.cols,
                 "the shift must have " << rows.cols << " features: got " << shift.size());
    REPSIM_CHECK(blocks_.size() >= 2 && blocks_.front() == 0 && blocks_.back() == rows.rows &&
                     std::is_sorted(blocks_.begin(), blocks_.end(), std::less_equal<>()),
                 "blocks must rise from 0 to the number of rows, " << rows.rows);
    for (std::int64_t block = 0; block < n_blocks(); ++block) {
        first_panel_.push_back(n_padded_ / kernels_.nr);
        n_padded_ += panels_for(blocks_[block + 1] - blocks_[block], kernels_.nr) * kernels_.nr;
    }
    first_panel_.push_back(n_padded_ / kernels_.nr);
    values_ = AlignedBuffer<char>::uninitialised(n_padded_ * n_features_ * kernels_.row_bytes);
    term_bytes_ = (n_padded_ * static_cast<std::int64_t>(kernels_.tile_bytes) + 63) / 64 * 64;
    terms_ = AlignedBuffer<char>::uninitialised(n_row_terms * term_bytes_);
    parallel_for(first_panel_.back(), n_threads, [&](std::int64_t panel, int) {
        const auto after = std::upper_bound(first_panel_.begin(), first_panel_.end(), panel);
        const std::int64_t block = after - first_panel_.begin() - 1;
        pack_panel(rows, transform, shift.empty() ? nullptr : shift.data(), block, panel - first_panel_[block]);
    });
    check_range(transform);
}

void Panels::pack_panel(const MatrixView& rows, RowTransform transform, const double* shift, std::int64_t block,
                        std::int64_t panel) {
    const std::int64_t begin = blocks_[block] + panel * kernels_.nr;
    const std::int64_t end = std::min(blocks_[block + 1], begin + kernels_.nr);
    const ContiguousRows contiguous(rows, begin, end);
    std::vector<double> scratch(n_features_);
    auto staging = AlignedBuffer<char>::uninitialised(kStagedRows * (n_features_ + kStagingPad) * kernels_.row_bytes);
    const PackedRows place = at(block, panel * kernels_.nr);
    TransposeArgs args{};
    args.rows = contiguous.first();
    args.row_stride = contiguous.stride();
    args.dtype = rows.dtype;
    args.n_rows = end - begin;
    args.n_features = n_features_;
    args.transform = transform;
    args.shift = shift;
    args.scratch = scratch.data();
    args.staging = staging.data();
    args.panel = const_cast<void*>(place.values);
    for (int t = 0; t < n_row_terms; ++t) args.terms[t] = const_cast<void*>(place.terms[t]);
    kernels_.transpose(args);
}

PackedRows Panels::at(std::int64_t block, std::int64_t row) const {
    const std::int64_t padded = first_panel_[block] * kernels_.nr + row;
    PackedRows rows{};
    rows.values = values_.data() + padded * n_features_ * static_cast<std::int64_t>(kernels_.row_bytes);
    for (int t = 0; t < n_row_terms; ++t)
        rows.terms[t] = terms_.data() + t * term_bytes_ + padded * static_cast<std::int64_t>(kernels_.tile_bytes);
    return rows;
}

// float32 squares must neither overflow nor all vanish; NaN and infinity end up here too.
void Panels::check_range(RowTransform transform) const {
    const bool single = kernels_.tile_bytes == sizeof(float);
    const char* terms = static_cast<const char*>(at(0, 0).terms[half_square]);
    double largest = 0;
    bool finite = true;
    for (std::int64_t i = 0; i < n_padded_; ++i) {
        const double value =
            single ? reinterpret_cast<const float*>(terms)[i] : reinterpret_cast<const double*>(terms)[i];
        finite = finite && value < (single ? 1e37 : 1e300);
        largest = std::max(largest, value);
    }
    REPSIM_CHECK(finite, "rows must be finite, and shorter than " << (single ? "4e18 for float32" : "1e150 for float64")
                                                                  << " products: rescale the rows"
                                                                  << (single ? " or use fp64" : ""));
    REPSIM_CHECK(!single || transform != RowTransform::raw || largest == 0 || largest > 1e-28,
                 "the longest row has length " << std::sqrt(2 * largest)
                                               << ", whose float32 products vanish: rescale the rows or use fp64");
}

std::int64_t Panels::nbytes() const { return static_cast<std::int64_t>(values_.size() + terms_.size()); }

void centre_on_grid(const MatrixView& rows, Isa isa, double* out) {
    REPSIM_CHECK(rows.rows > 0 && rows.cols > 0, "a centre needs at least one row and one feature");
    constexpr std::int64_t kChunk = 8 * kColumnsAtOnce, kStride = kChunk + kColumnsAtOnce;
    AlignedBuffer<double> values(rows.rows * kStride);
    auto columns = AlignedBuffer<double>::uninitialised(rows.rows * kColumnsAtOnce);
    const Kernels& reading = repsim::kernels(isa, Precision::fp64);
    const PairKernels& pairs = pair_kernels(isa, TilePrecision::fp64);
    const ContiguousRows contiguous(rows, 0, rows.rows);
    const auto element = static_cast<std::int64_t>(size_of(rows.dtype));
    for (std::int64_t first = 0; first < rows.cols; first += kChunk) {
        const std::int64_t width = std::min(kChunk, rows.cols - first);
        for (std::int64_t r = 0; r < rows.rows; ++r)
            reading.read_row(contiguous.first() + r * contiguous.stride() + first * element, rows.dtype, width,
                             RowTransform::raw, values.data() + r * kStride);
        pairs.centre(values.data(), kStride, rows.rows, width, columns.data(), out + first);
    }
}

std::vector<double> mean_row(const MatrixView& rows, RowTransform transform, int n_threads, Isa isa) {
    constexpr std::int64_t kRowsPerPart = 1024;
    REPSIM_CHECK(rows.rows > 0, "a mean needs at least one row");
    const Kernels& kernels = repsim::kernels(isa, Precision::fp64);
    const std::int64_t n_parts = (rows.rows + kRowsPerPart - 1) / kRowsPerPart, width = rows.cols;
    std::vector<double> parts(n_parts * width, 0.0);
    parallel_for(n_parts, n_threads, [&](std::int64_t part, int) {
        const std::int64_t begin = part * kRowsPerPart, end = std::min(rows.rows, begin + kRowsPerPart);
        const ContiguousRows contiguous(rows, begin, end);
        std::vector<double> row(width);
        double* sum = parts.data() + part * width;
        if (transform == RowTransform::raw)
            return kernels.add_rows(contiguous.args(end - begin, width), sum, row.data());
        for (std::int64_t r = 0; r < end - begin; ++r) {
            kernels.read_row(contiguous.first() + r * contiguous.stride(), rows.dtype, width, transform, row.data());
            for (std::int64_t k = 0; k < width; ++k) sum[k] += row[k];
        }
    });
    std::vector<double> mean(width, 0.0);
    for (std::int64_t part = 0; part < n_parts; ++part)
        for (std::int64_t k = 0; k < width; ++k) mean[k] += parts[part * width + k];
    for (double& value : mean) value /= static_cast<double>(rows.rows);
    return mean;
}

void dot_rows(const MatrixView& rows, const double* towards, int n_threads, Isa isa, double* dots, double* squares) {
    constexpr std::int64_t kRowsPerPart = 256;
    const Kernels& kernels = repsim::kernels(isa, Precision::fp64);
    parallel_for((rows.rows + kRowsPerPart - 1) / kRowsPerPart, n_threads, [&](std::int64_t part, int) {
        const std::int64_t begin = part * kRowsPerPart, end = std::min(rows.rows, begin + kRowsPerPart);
        const ContiguousRows contiguous(rows, begin, end);
        std::vector<double> row(rows.cols);
        kernels.dot_rows(contiguous.args(end - begin, rows.cols), towards, dots + begin, squares + begin, row.data());
    });
}

}  // namespace repsim
