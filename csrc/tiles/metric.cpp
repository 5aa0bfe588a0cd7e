#include "tiles/metric.h"

#include <array>
#include <cstddef>

#include "core/check.h"

namespace repsim {
namespace {

constexpr std::array kMetrics{"dot",       "cosine",  "correlation", "sqeuclidean",
                              "euclidean", "angular", "manhattan",   "chebyshev"};
constexpr std::array kPrecisions{"fp32", "fp64", "bf16"};

template <class Enum, std::size_t n>
Enum from_name(const std::array<const char*, n>& names, const char* what, const std::string& name) {
    std::string known;
    for (std::size_t i = 0; i < n; ++i) {
        if (name == names[i]) return static_cast<Enum>(i);
        known += (i == 0 ? "" : ", ") + std::string(names[i]);
    }
    REPSIM_CHECK(false, what << " must be one of " << known << ": got " << name);
    return Enum{};
}

}  // namespace

Metric metric_from_name(const std::string& name) { return from_name<Metric>(kMetrics, "metric", name); }

TilePrecision tile_precision_from_name(const std::string& name) {
    return from_name<TilePrecision>(kPrecisions, "precision", name);
}

const char* name_of(TilePrecision precision) { return kPrecisions[static_cast<std::size_t>(precision)]; }

}  // namespace repsim
