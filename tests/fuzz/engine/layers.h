// How layers are packed for sweeps: in which blocks, with which transform.
#pragma once

#include <algorithm>

#include "gemm/kernels.h"
#include "input.h"
#include "tiles/metric.h"

namespace repsim::fuzzing {

inline std::vector<std::int64_t> any_blocks(Input& input, std::int64_t n) {
    std::vector<std::int64_t> blocks{0};
    while (blocks.back() < n && blocks.size() < 6)
        blocks.push_back(std::min(n, blocks.back() + 1 + input.number(0, input.one_of({3, 60, 500}))));
    blocks.back() = std::max(n, blocks.back());
    return blocks;
}

inline RowTransform transform_of(Metric metric) {
    if (metric == Metric::correlation) return RowTransform::unit_centred;
    return metric == Metric::cosine || metric == Metric::angular ? RowTransform::unit : RowTransform::raw;
}

}  // namespace repsim::fuzzing
