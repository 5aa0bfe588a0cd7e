// Option words shared by the bindings.
#pragma once

#include <string>

#include "gemm/kernels.h"

namespace repsim {

inline Rows rows_from_name(const std::string& name) {
    if (name == "raw") return Rows::raw;
    if (name == "unit") return Rows::unit;
    if (name == "unit_centred") return Rows::unit_centred;
    REPSIM_CHECK(false, "rows must be raw, unit or unit_centred: got " << name);
    return Rows::raw;
}

}  // namespace repsim
