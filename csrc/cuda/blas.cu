#include "cuda/blas.h"

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <stdexcept>
#include <tuple>

#include "cuda/launch.h"

namespace repsim::cuda {
namespace {

// From cuBLAS's and the CUDA runtime's public headers, which need not be here: values are part of the binary interface.
constexpr int kTransposed = 1, kAsStored = 0;
constexpr int kReal32 = 0, kReal64 = 1, kReal16 = 2;
constexpr int kCompute32 = 68, kCompute64 = 70;
constexpr int kDefaultAlgorithm = -1;

using Create = int (*)(void**);
using SetStream = int (*)(void*, void*);
using Gemm = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int,
                     const void*, void*, int, int, int, int);

void* find(void* library, const char* name) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr) throw std::runtime_error(std::string("CUDA: cuBLAS has no function ") + name);
    return symbol;
}

}  // namespace

Blas::Blas(const std::string& library) : library_(dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) throw std::runtime_error(std::string("CUDA: cuBLAS does not load: ") + dlerror());
    gemm_ = find(library_, "cublasGemmEx");
    set_stream_ = find(library_, "cublasSetStream_v2");
    check(reinterpret_cast<Create>(find(library_, "cublasCreate_v2"))(&handle_), "cublasCreate");
}

Blas& Blas::shared(const std::string& library, int lane) {
    static std::mutex mutex;
    static std::map<std::tuple<std::string, int, int>, Blas*> handles;
    int device = 0;
    repsim::cuda::check(cudaGetDevice(&device), "cudaGetDevice");
    const std::lock_guard lock(mutex);
    Blas*& handle = handles[{library, device, lane}];
    if (handle == nullptr) handle = new Blas(library);
    return *handle;
}

void Blas::check(int status, const char* what) const {
    if (status != 0)
        throw std::runtime_error(std::string("CUDA: ") + what + " failed with status " + std::to_string(status));
}

void Blas::product(RowType type, const void* left, std::int64_t left_stride, const void* right,
                   std::int64_t right_stride, int rows, int cols, int depth, void* out, std::int64_t out_stride,
                   void* stream) {
    check(reinterpret_cast<SetStream>(set_stream_)(handle_, stream), "cublasSetStream");
    const float one = 1, zero = 0;
    const double one64 = 1, zero64 = 0;
    const bool is_double = type == RowType::f64;
    const int in = is_double ? kReal64 : type == RowType::f32 ? kReal32 : kReal16;
    // Column-major cuBLAS sees our row-major out as its transpose: right^T left.
    check(reinterpret_cast<Gemm>(gemm_)(
              handle_, kTransposed, kAsStored, cols, rows, depth, is_double ? static_cast<const void*>(&one64) : &one,
              right, in, static_cast<int>(right_stride), left, in, static_cast<int>(left_stride),
              is_double ? static_cast<const void*>(&zero64) : &zero, out, is_double ? kReal64 : kReal32,
              static_cast<int>(out_stride), is_double ? kCompute64 : kCompute32, kDefaultAlgorithm),
          "cublasGemmEx");
}

}  // namespace repsim::cuda
