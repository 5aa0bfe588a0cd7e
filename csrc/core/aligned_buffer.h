// Memory on a 64-byte boundary, so that vector loads of whole cache lines are legal; zero unless asked otherwise.
// Large buffers ask for large pages: a sweep over packed rows otherwise misses the TLB every few kilobytes (3 % of it).
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace repsim {

template <class T>
class AlignedBuffer {
  public:
    AlignedBuffer() = default;
    explicit AlignedBuffer(std::size_t count) : AlignedBuffer(uninitialised(count)) {
        std::fill_n(data_.get(), count, T{});
    }
    // For what is written before it is read: the pages go to the threads that write them.
    static AlignedBuffer uninitialised(std::size_t count) {
        AlignedBuffer buffer;
        buffer.size_ = count;
        if (count == 0) return buffer;
        const std::size_t bytes = count * sizeof(T), alignment = bytes < 2 * kLargePage ? 64 : kLargePage;
        void* memory = ::operator new(bytes, std::align_val_t{alignment});
#ifdef MADV_HUGEPAGE
        if (alignment == kLargePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: failure changes nothing
#endif
        buffer.data_ = {static_cast<T*>(memory), Free{alignment}};
        return buffer;
    }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    std::size_t size() const { return size_; }

  private:
    static constexpr std::size_t kLargePage = std::size_t{1} << 21;
    struct Free {
        std::size_t alignment = 64;
        void operator()(T* memory) const { ::operator delete(memory, std::align_val_t{alignment}); }
    };
    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

}  // namespace repsim
