#include "int24/units.h"

#if defined(PYREPSIM_X86) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace repsim {

namespace int24_base {
extern const Kernels int24;
}
#ifdef PYREPSIM_X86
namespace int24_avx2 {
extern const Kernels int24;
}
namespace int24_avx512 {
extern const Kernels int24;
}
namespace int24_avx512vnni {
extern const Kernels int24;
}
namespace int24_avx512amx {
extern const Kernels int24;
}
#endif

namespace {

struct Choice {
    const Kernels& kernels;
    const char* unit;
};

#ifdef PYREPSIM_X86
// Linux gives the registers of the matrix unit to a process that asks for them, once; a sandbox may refuse.
bool has_matrix_unit() {
#if defined(__linux__)
    static const bool has = [] {
        constexpr long kRequestPermission = 0x1023, kTileData = 18;
        unsigned a = 7, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        const bool tiles = d >> 24 & 1, bytes = d >> 25 & 1;
        return tiles && bytes && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    }();
    return has;
#else
    return false;
#endif
}
#endif

Choice choose(Isa isa) {
#ifdef PYREPSIM_X86
    if (isa == Isa::avx512) {
        if (has_matrix_unit()) return {int24_avx512amx::int24, "amx"};
        if (__builtin_cpu_supports("avx512vnni")) return {int24_avx512vnni::int24, "vnni"};
        return {int24_avx512::int24, "pairs"};
    }
    if (isa == Isa::avx2) return {int24_avx2::int24, "pairs"};
#endif
    (void)isa;
    return {int24_base::int24, "pairs"};
}

}  // namespace

const Kernels& int24_kernels(Isa isa) { return choose(isa).kernels; }

const char* int24_unit(Isa isa) { return choose(isa).unit; }

}  // namespace repsim
