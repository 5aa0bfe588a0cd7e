// Included by the two-line isa_*.cpp files, never elsewhere: see gemm/isa_kernels.h for the rules.
#include "tiles/kernels.h"

#include "tiles/centre_on_grid.h"
#include "tiles/strips.h"
#include "tiles/tile_kernel.h"
#include "tiles/transpose.h"

namespace repsim {
namespace REPSIM_ISA {

template <class T>
constexpr PairKernels make_pair_kernels() {
    return PairKernels{Tile<T>::mr,   Tile<T>::nr,     sizeof(T),       sizeof(T),  &transpose<T>,
                       &make_tile<T>, &centre_on_grid, &map_strip<T>,   &sum_strip, &dot_strips,
                       &add_strip,    &bin_strip<T>,   &select_strip<T>};
}

extern const PairKernels pairs_fp32, pairs_fp64;
constinit const PairKernels pairs_fp32 = make_pair_kernels<float>();
constinit const PairKernels pairs_fp64 = make_pair_kernels<double>();

}  // namespace REPSIM_ISA
}  // namespace repsim
