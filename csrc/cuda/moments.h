// Kernels of the streaming moments: everything except the matrix products, which cuBLAS makes. All sums over a row run
// in a fixed order, so results have the same bits for any launch, stream or chunk.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cuda/launch.h"
#include "gemm/kernels.h"

namespace repsim::cuda {

// Rows in device memory, elements of a row contiguous.
struct DeviceRows {
    const void* data;
    DType dtype;
    std::int64_t rows;
    std::int64_t cols;
    std::int64_t stride;  // elements from row to row
};

// u = t(x) - shift, rounded once from float64 to the precision of the products; squared norms |u|^2 in float64.
//   out (rows, cols) dense, of float64 or float32; norms (rows).
void prepare_rows(const DeviceRows& in, RowTransform transform, const double* shift, Precision precision, void* out,
                  double* norms, cudaStream_t stream);

// Searches for values that must not enter a sum. first_bad[0] = row * cols + col of the first NaN or infinity,
// first_bad[1] = the first row of zeros, first_bad[2] = the first row of one repeated value. Without one the entry
// stays as it was: the caller fills `first_bad` with the largest number.
void scan_rows(const DeviceRows& in, unsigned long long* first_bad, cudaStream_t stream);

// out[w][j] += sum over rows r of weights[w][r] u[r][j], in float64: u as prepare_rows left it, weights (n_weights,
// rows) with weights_stride elements from one to the next, out (n_weights, cols) dense. A product of few rows by many
// columns, which leaves a matrix product's tiles empty: this reads u once. partial: workspace of partial_sums(...)
// numbers.
void add_weighted_sums(Precision precision, const void* u, std::int64_t rows, std::int64_t cols, const double* weights,
                       std::int64_t n_weights, std::int64_t weights_stride, double* partial, double* out,
                       cudaStream_t stream);
std::int64_t partial_sums(std::int64_t rows, std::int64_t cols, std::int64_t n_weights);

// out[i] += sum over b of products[b * size + i], b ascending, in float64.
void add_products(const float* products, std::int64_t n_products, std::int64_t size, double* out, cudaStream_t stream);

}  // namespace repsim::cuda
