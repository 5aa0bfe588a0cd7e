#include "tiles/small_sets.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/thread_pool.h"

namespace repsim {
namespace {

constexpr double kRoundOff = 0x1p-53;
using Bytes = AlignedBuffer<char>;

// Unit round-off and smallest positive number of an element type.
struct Element {
    double round_off, smallest;
};
Element element_of(DType dtype) {
    switch (dtype) {
        case DType::f16: return {0x1p-11, 0x1p-24};
        case DType::bf16: return {0x1p-8, 0x1p-133};
        case DType::f32: return {0x1p-24, 0x1p-149};
        case DType::f64: return {0x1p-53, 0x1p-1074};
    }
    return {};
}

std::int64_t rounded_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

}  // namespace

SmallSets::SmallSets(RowSets sets, const Options& options, void* out, bool out_is_double, std::int64_t out_size,
                     Isa isa)
    : sets_(std::move(sets)),
      options_(options),
      out_(out),
      out_is_double_(out_is_double),
      reading_(kernels(isa, Precision::fp64)),
      kernels_(pair_kernels(isa, options.precision)),
      kernels_of_few_(pair_kernels(isa, TilePrecision::fp64)),
      n_(sets_.first.rows),
      most_features_(sets_.ends.empty() ? sets_.first.cols : 0),
      left_out_(sets_.count, 0) {
    REPSIM_CHECK(n_ >= 2 && n_ <= kMostRows, "small sets have 2 to " << kMostRows << " rows: got " << n_);
    REPSIM_CHECK(out_size == sets_.count * n_ * (n_ - 1) / 2,
                 "out must have " << sets_.count * n_ * (n_ - 1) / 2 << " elements: got " << out_size);
    REPSIM_CHECK(sets_.ends.empty() || static_cast<std::int64_t>(sets_.ends.size()) == sets_.count,
                 "features must have one end for each set");
    for (std::size_t set = 0; set < sets_.ends.size(); ++set) {
        const std::int64_t width = width_of(static_cast<std::int64_t>(set));
        REPSIM_CHECK(width >= 1, "every set needs a feature: set " << set << " has none");
        most_features_ = std::max(most_features_, width);
    }
    REPSIM_CHECK(sets_.ends.empty() || sets_.ends.back() == static_cast<std::int64_t>(sets_.features.size()),
                 "features must end with the last set");
    for (const std::int64_t feature : sets_.features)
        REPSIM_CHECK(feature >= 0 && feature < sets_.first.cols,
                     "features must be from 0 to " << sets_.first.cols - 1 << ": got " << feature);
    REPSIM_CHECK(most_features_ >= 1, "rows must have at least one feature");
    // not a power of two, at which the elements of a column share few sets of the cache
    stride_ = rounded_up(most_features_, kColumnsAtOnce) + kColumnsAtOnce;
    n_padded_ = std::max(rounded_up(n_, kernels_.nr), rounded_up(n_, kernels_of_few_.nr));
}

SmallSets::Workspace::Workspace(const SmallSets& sets)
    : rows(sets.n_ * sets.stride_),
      shift(sets.stride_),
      columns(std::max(kColumnsAtOnce * sets.n_, sets.stride_ + sets.n_)),
      reach(sets.n_),
      staging(Bytes::uninitialised(kStagedRows * (sets.most_features_ + kStagingPad) * sizeof(double))),
      panels(Bytes::uninitialised(sets.n_padded_ * sets.most_features_ * sizeof(double))),
      terms(Bytes::uninitialised(n_row_terms * sets.term_bytes())),
      tile(Bytes::uninitialised(sets.n_padded_ * sets.n_padded_ * sizeof(double))) {}

const PairKernels& SmallSets::kernels_for(std::int64_t width) const {
    return width <= options_.few_features ? kernels_of_few_ : kernels_;
}

std::int64_t SmallSets::width_of(std::int64_t set) const {
    return sets_.ends.empty() ? sets_.first.cols : sets_.ends[set] - begin_of(set);
}

// The rows of a set in float64, which holds every element type.
void SmallSets::read(std::int64_t set, std::int64_t width, double* rows, double* scratch) const {
    const MatrixView& matrix = sets_.first;
    const char* first = matrix.data + set * (sets_.ends.empty() ? sets_.stride : 0);
    const auto element = static_cast<std::int64_t>(size_of(matrix.dtype));
    const auto convert = [&](const char* elements, std::int64_t count, double* out) {
        reading_.read_row(elements, matrix.dtype, count, RowTransform::raw, out);
    };
    if (sets_.ends.empty() && matrix.rows_are_contiguous()) {
        for (std::int64_t r = 0; r < n_; ++r) convert(first + r * matrix.row_stride, width, rows + r * stride_);
        return;
    }
    const std::int64_t* features = sets_.ends.empty() ? nullptr : sets_.features.data() + begin_of(set);
    constexpr std::int64_t kAhead = 6, kLine = 64;
    for (std::int64_t k = 0; k < width; ++k) {
        const char* column = first + (features ? features[k] : k) * matrix.col_stride;
        const bool contiguous = matrix.row_stride == element;
        if (contiguous && features && k + kAhead < width) {  // columns of a group are anywhere, a few lines each
            const char* later = first + features[k + kAhead] * matrix.col_stride;
            for (std::int64_t at = 0; at < n_ * element; at += kLine) __builtin_prefetch(later + at);
        }
        if (contiguous)
            convert(column, n_, scratch);
        else
            for (std::int64_t r = 0; r < n_; ++r) convert(column + r * matrix.row_stride, 1, scratch + r);
        for (std::int64_t r = 0; r < n_; ++r) rows[r * stride_ + k] = scratch[r];
    }
}

// Scales rows to length 1. False if one may have no direction, or all may have the same one.
bool SmallSets::directed(std::int64_t width, Workspace& at) const {
    const auto [round_off, smallest] = element_of(sets_.first.dtype);
    const bool centred = options_.transform == RowTransform::unit_centred;
    const auto d = static_cast<double>(width);
    for (std::int64_t r = 0; r < n_; ++r) {
        double* row = at.rows.data() + r * stride_;
        const auto [centre, length] =
            reading_.read_row(reinterpret_cast<const char*>(row), DType::f64, width, options_.transform, row);
        const double before = std::sqrt(length * length + d * centre * centre);  // the length before centring
        double error = 2 * round_off * before + smallest * std::sqrt(d);
        if (centred) error = 2 * error + (d + 2) * kRoundOff * before;
        if (!(length > 4 * error && length < 1e140 && length > 1e-140)) return false;
        at.reach[r] = 1.01 * (2 * error / (length - error) + (d / 2 + 6) * kRoundOff);
    }
    const double* one = at.rows.data();
    for (std::int64_t r = 1; r < n_; ++r) {
        const double* other = one + r * stride_;
        for (std::int64_t k = 0; k < width; ++k)
            if (std::fabs(other[k] - one[k]) > at.reach[0] + at.reach[r]) return true;
    }
    return false;
}

void SmallSets::find_shift(std::int64_t width, Workspace& at) const {
    double* shift = at.shift.data();
    if (options_.transform == RowTransform::raw) {
        kernels_for(width).centre(at.rows.data(), stride_, n_, width, at.columns.data(), shift);
        return;
    }
    std::fill_n(shift, width, 0.0);
    for (std::int64_t r = 0; r < n_; ++r) {
        const double* row = at.rows.data() + r * stride_;
        for (std::int64_t k = 0; k < width; ++k) shift[k] += row[k];
    }
    const auto n = static_cast<double>(n_);
    for (std::int64_t k = 0; k < width; ++k) shift[k] = shift[k] / n * n / n;  // the weighted mean of one side's mean
}

bool SmallSets::sizes_are_safe(std::int64_t width, const PairKernels& kernels, const void* half_squares) const {
    const bool fp32 = options_.precision == TilePrecision::fp32;
    const double limit = fp32 ? 1e36 : 1e299;
    double largest = 0, total = 0;
    for (std::int64_t r = 0; r < n_; ++r) {
        const double value = kernels.tile_bytes == sizeof(float) ? static_cast<const float*>(half_squares)[r]
                                                                 : static_cast<const double*>(half_squares)[r];
        if (!(value < limit)) return false;
        largest = std::max(largest, value);
        total += value;
    }
    if (options_.transform != RowTransform::raw) return true;
    const double mean_square = 2 * total / (static_cast<double>(n_) * static_cast<double>(width));
    return (!fp32 || largest > 1e-27) && mean_square > 4 * options_.smallest * options_.smallest &&
           mean_square < options_.largest * options_.largest / 4;
}

template <class In, class Out>
void SmallSets::write(const In* tile, Out* out) const {
    for (std::int64_t r = 0; r + 1 < n_; ++r) {
        const In* row = tile + r * n_padded_;
        out = std::copy(row + r + 1, row + n_, out);
    }
}

bool SmallSets::make(std::int64_t set, Workspace& at) const {
    const std::int64_t width = width_of(set);
    read(set, width, at.rows.data(), at.columns.data());
    if (options_.transform != RowTransform::raw && !directed(width, at)) return false;
    if (options_.shifted) find_shift(width, at);
    const PairKernels& kernels = kernels_for(width);
    PackedRows packed{};
    packed.values = at.panels.data();
    for (int t = 0; t < n_row_terms; ++t) packed.terms[t] = at.terms.data() + t * term_bytes();
    for (std::int64_t first = 0; first < n_; first += kernels.nr) {
        TransposeArgs args{};
        args.rows = reinterpret_cast<const char*>(at.rows.data() + first * stride_);
        args.row_stride = stride_ * static_cast<std::int64_t>(sizeof(double));
        args.dtype = DType::f64;
        args.n_rows = std::min<std::int64_t>(kernels.nr, n_ - first);
        args.n_features = width;
        args.transform = RowTransform::raw;
        args.shift = options_.shifted ? at.shift.data() : nullptr;
        args.scratch = at.columns.data();
        args.staging = at.staging.data();
        args.panel = at.panels.data() + first * width * static_cast<std::int64_t>(kernels.row_bytes);
        for (int t = 0; t < n_row_terms; ++t)
            args.terms[t] = at.terms.data() + t * term_bytes() + first * static_cast<std::int64_t>(kernels.tile_bytes);
        kernels.transpose(args);
    }
    if (!sizes_are_safe(width, kernels, packed.terms[half_square])) return false;
    TileArgs args{};
    args.left = args.right = packed;
    args.n_left = args.n_right = n_;
    args.n_features = width;
    args.metric = options_.metric;
    args.diagonal = true;
    args.out = at.tile.data();
    args.out_stride = n_padded_;
    args.next = {packed.values, packed.values, width};
    kernels.tile(args);
    const std::int64_t first_entry = set * (n_ * (n_ - 1) / 2);
    const auto write_as = [&](const auto* tile) {
        if (out_is_double_)
            write(tile, static_cast<double*>(out_) + first_entry);
        else
            write(tile, static_cast<float*>(out_) + first_entry);
    };
    if (kernels.tile_bytes == sizeof(double))
        write_as(reinterpret_cast<const double*>(at.tile.data()));
    else
        write_as(reinterpret_cast<const float*>(at.tile.data()));
    return true;
}

void SmallSets::run(std::int64_t begin, std::int64_t end, int n_threads) {
    REPSIM_CHECK(0 <= begin && begin <= end && end <= n_tasks(),
                 "tasks must be a range within [0, " << n_tasks() << "): got [" << begin << ", " << end << ")");
    const auto helpers =
        static_cast<std::size_t>(std::max<std::int64_t>(1, std::min<std::int64_t>(n_threads, end - begin)));
    while (workspaces_.size() < helpers) workspaces_.emplace_back(*this);
    parallel_for(end - begin, n_threads, [&](std::int64_t index, int worker) {
        left_out_[begin + index] = !make(begin + index, workspaces_[worker]);
    });
}

std::vector<std::int64_t> SmallSets::left_out() const {
    std::vector<std::int64_t> sets;
    for (std::size_t set = 0; set < left_out_.size(); ++set)
        if (left_out_[set]) sets.push_back(static_cast<std::int64_t>(set));
    return sets;
}

}  // namespace repsim
