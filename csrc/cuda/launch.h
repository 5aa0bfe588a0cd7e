// The only way to launch a kernel: launches are checked, and the same .cu compiles for the GPU and for the emulator of
// the tests.
#pragma once

#ifdef REPSIM_CUDA_EMULATED
#include <cuda_on_cpu.h>  // tests/cuda_emulation
#else
#include <cuda_runtime.h>
#endif

#include <cstddef>
#include <stdexcept>
#include <string>

namespace repsim::cuda {

constexpr unsigned kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

inline void check(cudaError_t error, const char* what) {
    if (error != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}

inline unsigned blocks_for(long long items, long long per_block) {
    return static_cast<unsigned>((items + per_block - 1) / per_block);
}

#ifdef __CUDACC__
template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
    if (shared_bytes > 48 * 1024)
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shared_bytes)),
              name);
    kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
    check(cudaGetLastError(), name);
}

// Dynamic shared memory of the launch, as an array of `type` called `array`.
#define REPSIM_DYNAMIC_SHARED(type, array)                                 \
    extern __shared__ __align__(16) unsigned char repsim_dynamic_shared[]; \
    type* array = reinterpret_cast<type*>(repsim_dynamic_shared)
#elif defined(REPSIM_CUDA_EMULATED)
template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t, Arguments... arguments) {
    check(cuda_on_cpu::run(grid, block, shared_bytes, [&] { kernel(static_cast<Parameters>(arguments)...); }), name);
}

#define REPSIM_DYNAMIC_SHARED(type, array) type* array = static_cast<type*>(cuda_on_cpu::dynamic_shared())
#endif

// A function of both processors: metric and comparator arithmetic shared by kernels and host code.
#define REPSIM_BOTH __host__ __device__ __forceinline__

}  // namespace repsim::cuda
