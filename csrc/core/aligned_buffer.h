// Memory on a 64-byte boundary, so that vector loads of whole cache lines are legal; zero unless asked otherwise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

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
        if (count > 0)
            buffer.data_.reset(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{64})));
        return buffer;
    }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    std::size_t size() const { return size_; }

  private:
    struct Free {
        void operator()(T* memory) const { ::operator delete(memory, std::align_val_t{64}); }
    };
    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

}  // namespace repsim
