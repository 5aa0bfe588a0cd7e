#define REPSIM_ISA int24_base
#define REPSIM_VECTOR_BYTES 16
#define REPSIM_UNIT "int24/unit_pairs.h"
#include "int24/isa_kernels.h"
