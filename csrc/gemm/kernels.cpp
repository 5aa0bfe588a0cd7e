#include "gemm/kernels.h"

#include "int24/units.h"

namespace repsim {

namespace isa_base {
extern const Kernels fp32, fp64;
}
#ifdef PYREPSIM_X86
namespace isa_avx2 {
extern const Kernels fp32, fp64;
}
namespace isa_avx512 {
extern const Kernels fp32, fp64;
}
#endif

const Kernels& kernels(Isa isa, Precision precision) {
    if (precision == Precision::int24) return int24_kernels(isa);
    const bool single = precision == Precision::fp32;
#ifdef PYREPSIM_X86
    if (isa == Isa::avx512) return single ? isa_avx512::fp32 : isa_avx512::fp64;
    if (isa == Isa::avx2) return single ? isa_avx2::fp32 : isa_avx2::fp64;
#endif
    (void)isa;
    return single ? isa_base::fp32 : isa_base::fp64;
}

}  // namespace repsim
