#include "convert/narrow.h"

namespace repsim {

namespace isa_base {
extern const Narrow narrow;
}
#ifdef PYREPSIM_X86
namespace isa_avx2 {
extern const Narrow narrow;
}
namespace isa_avx512 {
extern const Narrow narrow;
}
#endif

Narrow narrow_kernel(Isa isa) {
#ifdef PYREPSIM_X86
    if (isa == Isa::avx512) return isa_avx512::narrow;
    if (isa == Isa::avx2) return isa_avx2::narrow;
#endif
    (void)isa;
    return isa_base::narrow;
}

}  // namespace repsim
