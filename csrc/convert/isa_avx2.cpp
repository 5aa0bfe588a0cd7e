#define REPSIM_ISA isa_avx2
#define REPSIM_VECTOR_BYTES 32
#include "convert/narrow_rows.h"
