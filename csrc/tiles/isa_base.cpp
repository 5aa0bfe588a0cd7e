#define REPSIM_ISA isa_base
#define REPSIM_VECTOR_BYTES 16
#include "tiles/isa_kernels.h"
