// Included by the two-line isa_*.cpp files, never elsewhere. Everything below lives in a namespace named after the
// instruction set, and nothing of the standard library is instantiated: an inline function compiled here under
// -mavx512f and merged by the linker with its twin elsewhere would crash on an older processor.
#include "gemm/kernels.h"

#include "gemm/micro_kernel.h"
#include "gemm/pack.h"
#include "gemm/rows.h"

namespace repsim {
namespace REPSIM_ISA {

template <class T>
constexpr Kernels make_kernels() {
    constexpr std::int64_t kColumnBytes = kBlockRows * static_cast<std::int64_t>(sizeof(T));
    return Kernels{Tile<T>::mr, Tile<T>::nr,  kColumnBytes, 64,        16,        &pack<T>, &pack_weights<T>,
                   nullptr,     &multiply<T>, &squares<T>,  &read_row, &add_rows, &dot_rows};
}

extern const Kernels fp32, fp64;
constinit const Kernels fp32 = make_kernels<float>();
constinit const Kernels fp64 = make_kernels<double>();

}  // namespace REPSIM_ISA
}  // namespace repsim
