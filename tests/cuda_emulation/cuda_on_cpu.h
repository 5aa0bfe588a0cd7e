// CUDA on the CPU, for tests: enough of the language and the runtime to compile and run the kernels of csrc/cuda with g++.
//
// Blocks run one after another; the threads of a block are fibers that run, one at a time, up to their next barrier. So a
// missing __syncthreads() reads what was not yet written, in at least one of the orders "forward", "reverse" and "random",
// and gives a wrong result rather than a rare one. __shared__ variables are plain statics, so AddressSanitizer finds
// overruns. Not covered: inline PTX, memory ordering, timing, what threads of a warp do in lockstep.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static
#define __constant__ static
#define __align__(bytes) __attribute__((aligned(bytes)))

using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct uint3 {
    unsigned x, y, z;
};

// clang-format off
struct alignas(4) ushort2 { unsigned short x, y; };
struct alignas(8) ushort4 { unsigned short x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
// clang-format on

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9, cudaErrorLaunchFailure = 719 };
inline const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorLaunchFailure ? "emulated: threads wait at different barriers" : "emulated: bad launch";
}
inline cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}

namespace cuda_on_cpu {

enum class Order { forward, reverse, random };

// The order in which the fibers of a block take their turns.
void set_order(Order order, std::uint64_t seed);

cudaError_t run(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& kernel);

void* dynamic_shared();
uint3 thread_index();
uint3 block_index();
dim3 block_size();
dim3 grid_size();
unsigned lane();

void wait_for_block();
// What every lane of the warp passed, once all lanes of `mask` that are still running have called.
const std::uint64_t* exchange(unsigned mask, std::uint64_t value);

template <class T>
std::uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T>
T from_bits(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// threadIdx.x and its kin are read from the running fiber each time.
template <class Source>
struct Index {
    struct X {
        operator unsigned() const { return Source::get().x; }
    } x;
    struct Y {
        operator unsigned() const { return Source::get().y; }
    } y;
    struct Z {
        operator unsigned() const { return Source::get().z; }
    } z;
};
// clang-format off
struct ThreadIndex { static uint3 get() { return thread_index(); } };
struct BlockIndex { static uint3 get() { return block_index(); } };
struct BlockSize { static dim3 get() { return block_size(); } };
struct GridSize { static dim3 get() { return grid_size(); } };
// clang-format on

}  // namespace cuda_on_cpu

inline constexpr cuda_on_cpu::Index<cuda_on_cpu::ThreadIndex> threadIdx{};
inline constexpr cuda_on_cpu::Index<cuda_on_cpu::BlockIndex> blockIdx{};
inline constexpr cuda_on_cpu::Index<cuda_on_cpu::BlockSize> blockDim{};
inline constexpr cuda_on_cpu::Index<cuda_on_cpu::GridSize> gridDim{};

inline void __syncthreads() { cuda_on_cpu::wait_for_block(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { cuda_on_cpu::exchange(mask, 0); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const auto* all = cuda_on_cpu::exchange(mask, cuda_on_cpu::to_bits(value));
    const unsigned first = cuda_on_cpu::lane() & ~static_cast<unsigned>(width - 1);
    return cuda_on_cpu::from_bits<T>(all[first + static_cast<unsigned>(source) % static_cast<unsigned>(width)]);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    const auto* all = cuda_on_cpu::exchange(mask, cuda_on_cpu::to_bits(value));
    const unsigned self = cuda_on_cpu::lane(), other = self ^ static_cast<unsigned>(lanes);
    return other / width == self / width ? cuda_on_cpu::from_bits<T>(all[other]) : value;
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const auto* all = cuda_on_cpu::exchange(mask, cuda_on_cpu::to_bits(value));
    const unsigned self = cuda_on_cpu::lane(), end = (self / width + 1) * width;
    return self + by < end ? cuda_on_cpu::from_bits<T>(all[self + by]) : value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const auto* all = cuda_on_cpu::exchange(mask, cuda_on_cpu::to_bits(value));
    const unsigned self = cuda_on_cpu::lane(), first = self / width * width;
    return self >= first + by ? cuda_on_cpu::from_bits<T>(all[self - by]) : value;
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const auto* all = cuda_on_cpu::exchange(mask, predicate ? 1 : 0);
    unsigned found = 0;
    for (unsigned i = 0; i < 32; ++i)
        if ((mask >> i & 1) && all[i]) found |= 1u << i;
    return found;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
inline int __syncthreads_or(int predicate) {
    static int any = 0;
    __syncthreads();
    any = 0;
    __syncthreads();
    any |= predicate;
    __syncthreads();
    return any != 0;
}

// One fiber runs at a time, so a plain read and write is atomic.
template <class T>
T atomicAdd(T* at, T value) {
    const T old = *at;
    *at = old + value;
    return old;
}
template <class T>
T atomicMin(T* at, T value) {
    const T old = *at;
    *at = min(old, value);
    return old;
}
template <class T>
T atomicMax(T* at, T value) {
    const T old = *at;
    *at = max(old, value);
    return old;
}

template <class T>
T __ldg(const T* at) {
    return *at;
}
// clang-format off
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline unsigned __float_as_uint(float x) { return cuda_on_cpu::from_bits<unsigned>(cuda_on_cpu::to_bits(x)); }
inline float __uint_as_float(unsigned x) { return cuda_on_cpu::from_bits<float>(cuda_on_cpu::to_bits(x)); }
inline int __float_as_int(float x) { return cuda_on_cpu::from_bits<int>(cuda_on_cpu::to_bits(x)); }
inline float __int_as_float(int x) { return cuda_on_cpu::from_bits<float>(cuda_on_cpu::to_bits(x)); }
inline long long __double_as_longlong(double x) { return cuda_on_cpu::from_bits<long long>(cuda_on_cpu::to_bits(x)); }
inline double __longlong_as_double(long long x) { return cuda_on_cpu::from_bits<double>(cuda_on_cpu::to_bits(x)); }
// clang-format on
