#define REPSIM_ISA isa_avx2
#define REPSIM_VECTOR_BYTES 32
#include "tiles/isa_kernels.h"
