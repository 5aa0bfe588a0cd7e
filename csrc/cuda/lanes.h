// Work that may overlap: lane i of n has its own stream, which waits for the caller's stream and the caller's stream
// for it.
#pragma once

#include <cstddef>
#include <vector>

#include "cuda/launch.h"

namespace repsim::cuda {

// The layout is the same for every compiler of a build: host code and kernels share objects.
// One lane is the caller's stream itself, so that a single lane costs nothing extra.
class Lanes {
  public:
    explicit Lanes(int n) {
#ifndef REPSIM_CUDA_EMULATED
        if (n < 2) return;
        check(cudaEventCreateWithFlags(&start_, cudaEventDisableTiming), "cudaEventCreate");
        for (int i = 0; i < n; ++i) {
            streams_.emplace_back();
            check(cudaStreamCreateWithFlags(&streams_.back(), cudaStreamNonBlocking), "cudaStreamCreate");
            ends_.emplace_back();
            check(cudaEventCreateWithFlags(&ends_.back(), cudaEventDisableTiming), "cudaEventCreate");
        }
#else
        if (n > 1) throw std::invalid_argument("CUDA: the emulator has one lane");
#endif
    }
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;
    ~Lanes() {
#ifndef REPSIM_CUDA_EMULATED
        for (cudaStream_t stream : streams_) cudaStreamDestroy(stream);
        for (cudaEvent_t end : ends_) cudaEventDestroy(end);
        if (start_ != nullptr) cudaEventDestroy(start_);
#endif
    }

    std::size_t size() const { return streams_.empty() ? 1 : streams_.size(); }
    cudaStream_t stream(std::size_t lane, cudaStream_t caller) const {
        return streams_.empty() ? caller : streams_[lane];
    }

    // The lanes wait for what the caller's stream holds now.
    void fork([[maybe_unused]] cudaStream_t caller) {
#ifndef REPSIM_CUDA_EMULATED
        if (streams_.empty()) return;
        check(cudaEventRecord(start_, caller), "cudaEventRecord");
        for (cudaStream_t stream : streams_) check(cudaStreamWaitEvent(stream, start_, 0), "cudaStreamWaitEvent");
#endif
    }

    // The caller's stream waits for the lanes.
    void join([[maybe_unused]] cudaStream_t caller) {
#ifndef REPSIM_CUDA_EMULATED
        for (std::size_t i = 0; i < streams_.size(); ++i) {
            check(cudaEventRecord(ends_[i], streams_[i]), "cudaEventRecord");
            check(cudaStreamWaitEvent(caller, ends_[i], 0), "cudaStreamWaitEvent");
        }
#endif
    }

  private:
    std::vector<cudaStream_t> streams_;
#ifndef REPSIM_CUDA_EMULATED
    std::vector<cudaEvent_t> ends_;
    cudaEvent_t start_ = nullptr;
#endif
};

}  // namespace repsim::cuda
