#define REPSIM_ISA int24_avx2
#define REPSIM_VECTOR_BYTES 32
#define REPSIM_UNIT "int24/unit_pairs.h"
#include "int24/isa_kernels.h"
