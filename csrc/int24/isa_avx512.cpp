#define REPSIM_ISA int24_avx512
#define REPSIM_VECTOR_BYTES 64
#define REPSIM_UNIT "int24/unit_pairs.h"
#include "int24/isa_kernels.h"
