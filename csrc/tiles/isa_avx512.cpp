#define REPSIM_ISA isa_avx512
#define REPSIM_VECTOR_BYTES 64
#include "tiles/isa_kernels.h"
