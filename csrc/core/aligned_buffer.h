// Memory on a 64-byte boundary, so that vector loads of whole cache lines are legal; filled with zeros by default.
// Large buffers use large pages: a sweep over packed rows would otherwise miss the TLB every few kilobytes (3 % of its
// time).
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#include "core/spare_memory.h"

namespace repsim {

template <class T>
class AlignedBuffer {
  public:
    AlignedBuffer() = default;
    explicit AlignedBuffer(std::size_t count) : AlignedBuffer(uninitialised(count)) {
        std::fill_n(data_.get(), count, T{});
    }
    // Contents are uninitialised: for buffers that are written before they are read.
    static AlignedBuffer uninitialised(std::size_t count) {
        AlignedBuffer buffer;
        buffer.size_ = count;
        if (count == 0) return buffer;
        const std::size_t bytes = count * sizeof(T);
        void* memory = bytes < kLargeBlock ? ::operator new(bytes, kLine) : take_block(bytes);
        buffer.data_ = {static_cast<T*>(memory), Free{bytes}};
        return buffer;
    }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    std::size_t size() const { return size_; }

  private:
    static constexpr std::align_val_t kLine{64};
    struct Free {
        std::size_t bytes = 0;
        void operator()(T* memory) const {
            if (bytes < kLargeBlock)
                ::operator delete(memory, kLine);
            else
                give_block(memory, bytes);
        }
    };
    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

}  // namespace repsim
