// This machine's limits: fused multiply-adds per second in registers, and bytes per second from memory.
// Compiled with -march=native by roofline.py; prints "name threads value" lines.
#if defined(__AVX512BF16__) || defined(__AVX512VNNI__)
#include <immintrin.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

#if defined(__aarch64__)
#define IN_REGISTER "+w"
#else
#define IN_REGISTER "+x"
#endif

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class Work>
static double seconds(int n_threads, Work work) {
    std::vector<double> times;
    for (int round = 0; round < 7; ++round) {
        const double start = now();
        std::vector<std::thread> threads;
        for (int t = 1; t < n_threads; ++t) threads.emplace_back(work, t);
        work(0);
        for (auto& thread : threads) thread.join();
        times.push_back(now() - start);
    }
    return *std::min_element(times.begin(), times.end());  // a limit: the best is the one not disturbed
}

static volatile double sink;

// 12 independent chains: enough for two pipes of latency 4 or 5, few enough to stay in 16 registers. `make_step` gives
// the function that a thread applies to each of them, which adds `products` products.
template <class Vector, class MakeStep>
static double chain_rate(int n_threads, int products, MakeStep make_step) {
    constexpr long kSteps = 20'000'000;
    const double elapsed = seconds(n_threads, [make_step](int thread) {
        const auto next = make_step(thread);
        Vector a0{}, a1{}, a2{}, a3{}, a4{}, a5{}, a6{}, a7{}, a8{}, a9{}, a10{}, a11{};
        for (long step = 0; step < kSteps; ++step) {
            a0 = next(a0), a1 = next(a1), a2 = next(a2), a3 = next(a3), a4 = next(a4), a5 = next(a5);
            a6 = next(a6), a7 = next(a7), a8 = next(a8), a9 = next(a9), a10 = next(a10), a11 = next(a11);
            asm volatile("" : IN_REGISTER(a0), IN_REGISTER(a1), IN_REGISTER(a2), IN_REGISTER(a3), IN_REGISTER(a4), IN_REGISTER(a5));
            asm volatile("" : IN_REGISTER(a6), IN_REGISTER(a7), IN_REGISTER(a8), IN_REGISTER(a9), IN_REGISTER(a10), IN_REGISTER(a11));
        }
        const Vector total = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11;
        sink = static_cast<double>(total[0]);
    });
    return 2.0 * 12 * kSteps * products * n_threads / elapsed / 1e9;
}

template <class T>
static double fma_rate(int n_threads) {
    typedef T Vector __attribute__((vector_size(kVectorBytes)));
    return chain_rate<Vector>(n_threads, kVectorBytes / sizeof(T), [](int thread) {
        const Vector scale = Vector{} + T(0.5) + T(thread), offset = Vector{} + T(0.25);
        return [=](Vector a) { return a * scale + offset; };
    });
}

#if defined(__AVX512BF16__)
// Dot products of pairs of bfloat16.
static double bf16_rate(int n_threads) {
    return chain_rate<__m512>(n_threads, 32, [](int thread) {
        const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi16(static_cast<short>(0x3f80 + thread)));
        return [=](__m512 a) { return _mm512_dpbf16_ps(a, x, x); };
    });
}
#endif

#if defined(__AVX512VNNI__)
// Dot products of four bytes.
static double int8_rate(int n_threads) {
    return chain_rate<__m512i>(n_threads, 64, [](int thread) {
        const __m512i x = _mm512_set1_epi8(static_cast<char>(1 + thread));
        return [=](__m512i a) { return _mm512_dpbusd_epi32(a, x, x); };
    });
}
#endif

#if defined(__x86_64__) && defined(__linux__)
// Products of tiles in registers, four sums in turn, as a product waits for the one before it. bfloat16 or bytes.
static bool has_matrix_unit() {
    unsigned a = 7, b, c = 0, d;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    const bool bfloats = d >> 22 & 1, tiles = d >> 24 & 1, bytes = d >> 25 & 1;
    return bfloats && tiles && bytes && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

template <bool kBytes>
static double tile_rate(int n_threads) {
    constexpr long kSteps = 4'000'000;
    const double elapsed = seconds(n_threads, [](int) {
        struct alignas(64) {
            std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
            std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } config;
        asm volatile("ldtilecfg %0" ::"m"(config));
        asm volatile("tilezero %tmm0\ntilezero %tmm1\ntilezero %tmm2\ntilezero %tmm3\ntilezero %tmm4\ntilezero %tmm5");
        for (long step = 0; step < kSteps; ++step) {
            if constexpr (kBytes)
                asm volatile("tdpbssd %tmm5, %tmm4, %tmm0\ntdpbssd %tmm5, %tmm4, %tmm1\n"
                             "tdpbssd %tmm5, %tmm4, %tmm2\ntdpbssd %tmm5, %tmm4, %tmm3");
            else
                asm volatile("tdpbf16ps %tmm5, %tmm4, %tmm0\ntdpbf16ps %tmm5, %tmm4, %tmm1\n"
                             "tdpbf16ps %tmm5, %tmm4, %tmm2\ntdpbf16ps %tmm5, %tmm4, %tmm3");
        }
        asm volatile("tilerelease");
    });
    return 2.0 * 4 * kSteps * 16 * 16 * (kBytes ? 64 : 32) * n_threads / elapsed / 1e9;
}
#endif

static double read_rate(int n_threads) {
    const std::size_t count = std::size_t(64) << 20;  // 512 MB
    std::vector<double> data(count, 1.0);
    const double elapsed = seconds(n_threads, [&](int thread) {
        const std::size_t begin = count / n_threads * thread, end = begin + count / n_threads;
        double lane[32] = {};
        for (std::size_t i = begin; i + 32 <= end; i += 32)
            for (int l = 0; l < 32; ++l) lane[l] += data[i + l];
        double total = 0;
        for (double value : lane) total += value;
        sink = total;
    });
    return static_cast<double>(count * sizeof(double)) / elapsed / 1e9;
}

int main(int argc, char** argv) {
    const int n_threads = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
    std::printf("fp32_gflops %.1f\n", fma_rate<float>(n_threads));
    std::printf("fp64_gflops %.1f\n", fma_rate<double>(n_threads));
#if defined(__AVX512BF16__)
    std::printf("bf16_gflops %.1f\n", bf16_rate(n_threads));
#endif
#if defined(__AVX512VNNI__)
    std::printf("int8_gops %.1f\n", int8_rate(n_threads));
#endif
#if defined(__x86_64__) && defined(__linux__)
    if (has_matrix_unit()) {
        std::printf("amx_bf16_gflops %.1f\n", tile_rate<false>(n_threads));
        std::printf("amx_int8_gops %.1f\n", tile_rate<true>(n_threads));
    }
#endif
    std::printf("read_gb_per_s %.1f\n", read_rate(n_threads));
}
