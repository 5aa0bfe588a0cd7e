// Instruction sets the kernels are compiled for. Each level is the same source under other compiler flags.
#pragma once

#include <string>
#include <vector>

namespace repsim {

enum class Isa : int { base, avx2, avx512 };

std::string isa_name(Isa isa);

// Levels compiled into this build that this processor runs, slowest first. `base` is always there.
const std::vector<Isa>& available_isas();

// The fastest available level, or the one named; throws when it is unknown or not available here.
Isa choose_isa(const std::string& name_or_auto);

}  // namespace repsim
