// Kernels of precision int24, by the best unit of an instruction set on this processor. All units give the same bits.
#pragma once

#include "gemm/kernels.h"

namespace repsim {

const Kernels& int24_kernels(Isa isa);
const char* int24_unit(Isa isa);  // amx, vnni or pairs

}  // namespace repsim
