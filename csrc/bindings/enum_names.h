// Enumerations from their names, shared by the bindings.
#pragma once

#include <string>

#include "core/check.h"
#include "gemm/kernels.h"

namespace repsim {

inline RowTransform transform_from_name(const std::string& name) {
    if (name == "raw") return RowTransform::raw;
    if (name == "unit") return RowTransform::unit;
    if (name == "unit_centred") return RowTransform::unit_centred;
    REPSIM_CHECK(false, "rows must be raw, unit or unit_centred: got " << name);
    return RowTransform::raw;
}

inline Precision precision_from_name(const std::string& name) {
    if (name == "fp32") return Precision::fp32;
    if (name == "fp64") return Precision::fp64;
    if (name == "int24") return Precision::int24;
    REPSIM_CHECK(false, "precision must be fp32, fp64 or int24: got " << name);
    return Precision::fp64;
}

}  // namespace repsim
