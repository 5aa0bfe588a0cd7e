// The one routine of cuBLAS that tiles need, looked up at run time in the library that CuPy brings.
#pragma once

#include <cstdint>
#include <string>

#include "cuda/tiles/layer.h"

namespace repsim::cuda {

class Blas {
  public:
    // The current device's handle for a lane, made once: creation costs milliseconds and device memory. Kept until the
    // process ends, since the library may be gone before our own statics.
    static Blas& shared(const std::string& library, int lane);

    Blas(const Blas&) = delete;
    Blas& operator=(const Blas&) = delete;

    // out[r][s] = sum_k left[r][k] right[s][k], r < rows, s < cols, all row-major; halves are multiplied by the tensor
    // cores into float32.
    void product(RowType type, const void* left, std::int64_t left_stride, const void* right, std::int64_t right_stride,
                 int rows, int cols, int depth, void* out, std::int64_t out_stride, void* stream);

  private:
    explicit Blas(const std::string& library);
    void check(int status, const char* what) const;

    void* library_ = nullptr;
    void* handle_ = nullptr;
    void* gemm_ = nullptr;
    void* set_stream_ = nullptr;
};

}  // namespace repsim::cuda
