#include "tiles/kernels.h"

namespace repsim {

namespace isa_base {
extern const PairKernels pairs_fp32, pairs_fp64;
}
#ifdef PYREPSIM_X86
namespace isa_avx2 {
extern const PairKernels pairs_fp32, pairs_fp64;
}
namespace isa_avx512 {
extern const PairKernels pairs_fp32, pairs_fp64;
}
#endif

const PairKernels& pair_kernels(Isa isa, TilePrecision precision) {
    REPSIM_CHECK(precision != TilePrecision::bf16, "bf16 tiles are not available on this processor: use fp32");
    const bool single = precision == TilePrecision::fp32;
#ifdef PYREPSIM_X86
    if (isa == Isa::avx512) return single ? isa_avx512::pairs_fp32 : isa_avx512::pairs_fp64;
    if (isa == Isa::avx2) return single ? isa_avx2::pairs_fp32 : isa_avx2::pairs_fp64;
#endif
    (void)isa;
    return single ? isa_base::pairs_fp32 : isa_base::pairs_fp64;
}

}  // namespace repsim
