// Tensor maps: the description of an array for the copy engine of Hopper.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace repsim::cuda {

using TensorMapEncoder = decltype(&cuTensorMapEncodeTiled);

// The driver's function, found through the runtime: nothing links to the driver.
inline TensorMapEncoder tensor_map_encoder() {
    static const TensorMapEncoder encoder = [] {
        void* function = nullptr;
        cudaDriverEntryPointQueryResult result;
        const cudaError_t error =
            cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &result);
        return error == cudaSuccess && result == cudaDriverEntryPointSuccess
                   ? reinterpret_cast<TensorMapEncoder>(function)
                   : nullptr;
    }();
    return encoder;
}

// Dense rows of halves, copied in boxes of 128-byte swizzled rows; what lies outside is zero.
inline CUtensorMap tensor_map(const void* rows, std::int64_t n, std::int64_t stride, unsigned box_cols,
                              unsigned box_rows) {
    CUtensorMap map;
    const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(stride), static_cast<cuuint64_t>(n)};
    const cuuint64_t strides[1] = {static_cast<cuuint64_t>(stride) * 2};
    const cuuint32_t box[2] = {box_cols, box_rows}, steps[2] = {1, 1};
    const CUresult error =
        tensor_map_encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, const_cast<void*>(rows), sizes, strides, box,
                             steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (error != CUDA_SUCCESS)
        throw std::runtime_error("CUDA: cuTensorMapEncodeTiled failed with code " + std::to_string(error));
    return map;
}

}  // namespace repsim::cuda
