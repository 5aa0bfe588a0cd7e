// Unsigned integers in the order of floating-point values; -0 and +0 share one.
#pragma once

#include <bit>
#include <cstdint>

namespace repsim {

inline std::uint32_t key_of(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);  // -0 + 0 = +0
    return bits ^ ((bits >> 31) != 0 ? ~0u : 0x80000000u);
}

inline std::uint64_t key_of(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);
    return bits ^ ((bits >> 63) != 0 ? ~0ull : 0x8000000000000000ull);
}

}  // namespace repsim
