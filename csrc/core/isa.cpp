#include "core/isa.h"

#include "core/check.h"

namespace repsim {

std::string isa_name(Isa isa) {
    switch (isa) {
        case Isa::base: return "base";
        case Isa::avx2: return "avx2";
        case Isa::avx512: return "avx512";
    }
    return "?";
}

static std::vector<Isa> detect() {
    std::vector<Isa> isas{Isa::base};
#ifdef PYREPSIM_X86
    __builtin_cpu_init();
    // The avx2 unit is compiled with FMA and F16C, the avx512 unit with BW, DQ and VL: ask for all of them.
    // Every processor with AVX2 that we know has F16C; __builtin_cpu_supports does not know it before GCC 11.
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        isas.push_back(Isa::avx2);
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
            isas.push_back(Isa::avx512);
    }
#endif
    return isas;
}

const std::vector<Isa>& available_isas() {
    static const std::vector<Isa> isas = detect();
    return isas;
}

Isa choose_isa(const std::string& name_or_auto) {
    const auto& isas = available_isas();
    if (name_or_auto.empty() || name_or_auto == "auto") return isas.back();
    std::string known;
    for (Isa isa : isas) {
        if (isa_name(isa) == name_or_auto) return isa;
        known += (known.empty() ? "" : ", ") + isa_name(isa);
    }
    REPSIM_CHECK(false, "the instruction set must be one this processor runs (" << known << "): got " << name_or_auto);
    return Isa::base;
}

}  // namespace repsim
