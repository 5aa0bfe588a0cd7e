#include "core/spare_memory.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace repsim {
namespace {

constexpr std::align_val_t kLargePage{std::size_t{1} << 21};

struct Block {
    void* memory;
    std::size_t bytes;
};

struct Spare {
    std::mutex mutex;
    std::vector<Block> blocks;  // the one unused for longest first
    std::size_t bytes = 0;

    Spare() { blocks.reserve(kMostSpare / kLargeBlock + 1); }  // freeing never allocates

    void* take(std::size_t wanted) {
        const auto at =
            std::find_if(blocks.rbegin(), blocks.rend(), [&](const Block& block) { return block.bytes == wanted; });
        if (at == blocks.rend()) return nullptr;
        void* memory = at->memory;
        bytes -= wanted;
        blocks.erase(std::next(at).base());
        return memory;
    }

    void give(Block block) {
        blocks.push_back(block);
        bytes += block.bytes;
        std::size_t n_old = 0;
        for (; bytes > kMostSpare; ++n_old) {
            ::operator delete(blocks[n_old].memory, kLargePage);
            bytes -= blocks[n_old].bytes;
        }
        blocks.erase(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(n_old));
    }
};

// Never destroyed: other static objects may outlive it.
Spare& spare() {
    static Spare& only = *new Spare;
    return only;
}

}  // namespace

// The lock is only tried: in a forked child it may be held for ever by a thread that the child does not have.
void* take_block(std::size_t bytes) {
    if (std::unique_lock lock(spare().mutex, std::try_to_lock); lock)
        if (void* memory = spare().take(bytes)) return memory;
    void* memory = ::operator new(bytes, kLargePage);
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE);  // a hint: failure changes nothing
#endif
    return memory;
}

void give_block(void* memory, std::size_t bytes) {
    if (std::unique_lock lock(spare().mutex, std::try_to_lock); lock)
        spare().give({memory, bytes});
    else
        ::operator delete(memory, kLargePage);
}

}  // namespace repsim
