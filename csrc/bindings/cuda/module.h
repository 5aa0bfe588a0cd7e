// What every CUDA binding needs: addresses travel as integers, launches release the GIL. Classes are
// py::module_local(): the tests load the emulated module together with the real one.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "cuda/launch.h"

namespace repsim::cuda {

template <class T>
T* pointer(std::uintptr_t address) {
    return reinterpret_cast<T*>(address);
}

inline cudaStream_t stream_at(std::uintptr_t address) { return reinterpret_cast<cudaStream_t>(address); }

}  // namespace repsim::cuda

void bind_cuda_moments(pybind11::module_& module);
void bind_cuda_pairwise(pybind11::module_& module);

// All kernels, for the module of the GPU and for the emulated one.
inline void bind_cuda_kernels(pybind11::module_& module) {
    bind_cuda_moments(module);
    bind_cuda_pairwise(module);
}
