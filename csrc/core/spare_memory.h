// Large blocks that were given back are kept for the next who asks: pages that are new to a process cost as much as what
// is written to them. Sums of a few thousand rows would wait for pages a third as long as for products.
#pragma once

#include <cstddef>

namespace repsim {

constexpr std::size_t kLargeBlock = std::size_t{1} << 20;   // bytes from which a buffer is such a block
constexpr std::size_t kMostSpare = std::size_t{128} << 20;  // bytes kept, of all blocks together

// Memory of large pages where the system has them, on the boundary of one; what is in it is anybody's.
void* take_block(std::size_t bytes);
void give_block(void* memory, std::size_t bytes);

}  // namespace repsim
