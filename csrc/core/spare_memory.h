// Large memory blocks are kept for reuse after they are freed, because pages that are new to a process cost as much
// time as writing to them: a third of the time of the products for sums of a few thousand rows.
#pragma once

#include <cstddef>

namespace repsim {

constexpr std::size_t kLargeBlock = std::size_t{1} << 20;   // smallest buffer that is kept, in bytes
constexpr std::size_t kMostSpare = std::size_t{128} << 20;  // most bytes kept, all blocks together

// Memory in large pages where the system has them, aligned to one; contents are uninitialised.
void* take_block(std::size_t bytes);
void give_block(void* memory, std::size_t bytes);

}  // namespace repsim
