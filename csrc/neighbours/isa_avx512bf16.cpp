#define REPSIM_ISA isa_avx512bf16
#define REPSIM_VECTOR_BYTES 64
#include "neighbours/screen_kernel.h"
