// pyrepsim._cuda: kernels over raw device pointers; the memory, the streams and the matrix products are CuPy's.
#include "bindings/cuda/module.h"

#include <cuda_runtime_api.h>

PYBIND11_MODULE(_cuda, module) {
    module.doc() = "The CUDA kernels of pyrepsim. Use them through pyrepsim.backends.";
    module.def(
        "device_count",
        [] {
            int count = 0;
            const cudaError_t error = cudaGetDeviceCount(&count);
            if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
            return count;
        },
        "Usable devices; raises RuntimeError with the driver's reason where there is no driver or no device.");
    bind_cuda_kernels(module);
}
