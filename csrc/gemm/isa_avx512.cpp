#define REPSIM_ISA isa_avx512
#define REPSIM_VECTOR_BYTES 64
#include "gemm/isa_kernels.h"
