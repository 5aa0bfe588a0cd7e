// Option words shared by the bindings.
#pragma once

#include <string>

#include "core/check.h"
#include "gemm/kernels.h"

namespace repsim {

inline Rows rows_from_name(const std::string& name) {
    if (name == "raw") return Rows::raw;
    if (name == "unit") return Rows::unit;
    if (name == "unit_centred") return Rows::unit_centred;
    REPSIM_CHECK(false, "rows must be raw, unit or unit_centred: got " << name);
    return Rows::raw;
}

inline Precision precision_from_name(const std::string& name) {
    if (name == "fp32") return Precision::fp32;
    if (name == "fp64") return Precision::fp64;
    REPSIM_CHECK(false, "precision must be fp32 or fp64: got " << name);
    return Precision::fp64;
}

}  // namespace repsim
