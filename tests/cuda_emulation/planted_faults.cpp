// Kernels with known faults. `planted_faults <kernel> <order>` prints the result, or stops where AddressSanitizer stops it.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/launch.h"

using namespace repsim::cuda;

namespace {

constexpr unsigned kThreads = 64, kBlocks = 2;

// Each thread reads what its opposite wrote. Without the barrier the first ones to run read garbage.
template <bool with_barrier>
__global__ void reverse(const int* in, int* out) {
    __shared__ int held[kThreads];
    const unsigned i = threadIdx.x;
    held[i] = in[blockIdx.x * kThreads + i];
    if (with_barrier) __syncthreads();
    out[blockIdx.x * kThreads + i] = held[kThreads - 1 - i];
}

// Reads its neighbour to the left (or right): right in one order of threads, wrong in the other.
template <int side>
__global__ void neighbour(const int* in, int* out) {
    __shared__ int held[kThreads + 2];
    const int i = static_cast<int>(threadIdx.x);
    held[i + 1] = in[blockIdx.x * kThreads + i];
    out[blockIdx.x * kThreads + i] = i + side < 0 || i + side >= static_cast<int>(kThreads) ? 0 : held[i + 1 + side];
}

__global__ void overrun(const int* in, int* out) {
    __shared__ int held[kThreads];
    held[threadIdx.x + in[0]] = 1;
    __syncthreads();
    out[threadIdx.x] = held[threadIdx.x];
}

__global__ void global_overrun(const int* in, int* out) { out[threadIdx.x] = in[kThreads * blockIdx.x + threadIdx.x]; }

__global__ void divergent(const int*, int* out) {
    if (threadIdx.x < 3) __syncthreads();
    out[threadIdx.x] = __shfl_sync(kAllLanes, 1, 0);
}

// Sum of a block by shuffles and shared memory: what a right kernel looks like.
__global__ void block_sum(const int* in, int* out) {
    REPSIM_DYNAMIC_SHARED(int, partial);
    int value = in[blockIdx.x * kThreads + threadIdx.x];
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
    if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
    __syncthreads();
    out[blockIdx.x * kThreads + threadIdx.x] = partial[0] + partial[1];
}

}  // namespace

int main(int, char** arguments) {
    const std::string kernel = arguments[1], order = arguments[2];
    using cuda_on_cpu::Order;
    cuda_on_cpu::set_order(order == "reverse" ? Order::reverse : order == "random" ? Order::random : Order::forward, 1);
    std::vector<int> in(kBlocks * kThreads), out(kBlocks * kThreads, -1);
    for (unsigned i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i * i % 97) + 1;
    auto go = [&](auto* which, unsigned n_blocks = kBlocks, std::size_t shared = 0) {
        launch(kernel.c_str(), which, n_blocks, kThreads, shared, nullptr, in.data(), out.data());
    };
    try {
        if (kernel == "reverse") go(reverse<true>);
        if (kernel == "reverse_without_barrier") go(reverse<false>);
        if (kernel == "left") go(neighbour<-1>);
        if (kernel == "right") go(neighbour<1>);
        if (kernel == "overrun") go(overrun, 1);
        if (kernel == "global_overrun") go(global_overrun, kBlocks + 1);
        if (kernel == "divergent") go(divergent, 1);
        if (kernel == "block_sum") go(block_sum, kBlocks, 2 * sizeof(int));
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        return 1;
    }
    for (int value : out) std::printf("%d ", value);
    std::printf("\n");
    return 0;
}
