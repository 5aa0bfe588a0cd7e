#define REPSIM_ISA isa_base
#define REPSIM_VECTOR_BYTES 16
#include "convert/narrow_rows.h"
