// Included by the isa_*.cpp files, never elsewhere: see gemm/isa_kernels.h for the rules. REPSIM_UNIT is the header of
// the unit that multiplies.
#include "int24/multiply.h"
#include REPSIM_UNIT

#include "gemm/rows.h"

namespace repsim {
namespace REPSIM_ISA {

extern const Kernels int24;
constinit const Kernels int24{
    kSide,
    kStripsOfPanel * kSide,
    sizeof(Strip) / kSide,
    kBlockRows,
    48,
    &pack_integers,
    &pack_integer_weights,
    &rounding_of,
    &multiply_integers<Unit>,
    &squares_of_integers,
    &read_row,
    &add_rows,
    &dot_rows,
};

}  // namespace REPSIM_ISA
}  // namespace repsim
