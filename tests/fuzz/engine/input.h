// What all targets share: choices made from the bytes of an input, and rows of any element type and memory layout.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "core/isa.h"
#include "core/matrix_view.h"

// A wrong result: the process stops, and libFuzzer keeps the input.
#define EXPECT(condition, ...)                                      \
    do {                                                            \
        if (!(condition)) {                                         \
            std::fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);    \
            std::fprintf(stderr, "%s does not hold: ", #condition); \
            std::fprintf(stderr, __VA_ARGS__);                      \
            std::fprintf(stderr, "\n");                             \
            std::abort();                                           \
        }                                                           \
    } while (false)

namespace repsim::fuzzing {

class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    std::uint8_t byte() { return size_ == 0 ? 0 : (--size_, *data_++); }
    std::uint64_t bits(int n_bytes) {
        std::uint64_t value = 0;
        for (int i = 0; i < n_bytes; ++i) value = value << 8 | byte();
        return value;
    }
    std::int64_t number(std::int64_t low, std::int64_t high) {
        const auto n = static_cast<std::uint64_t>(high - low + 1);
        return low + static_cast<std::int64_t>(bits(n <= 256 ? 1 : 2) % n);
    }
    template <class T>
    T one_of(std::initializer_list<T> values) {
        return values.begin()[number(0, static_cast<std::int64_t>(values.size()) - 1)];
    }

  private:
    const std::uint8_t* data_;
    std::size_t size_;
};

// Numbers of one kind; when the bytes are used up, a fixed sequence goes on, so that short inputs make many rows.
class Numbers {
  public:
    enum Kind : int { integers, halves, decimals, extremes, any_bits };
    Numbers(Input& input, Kind kind) : input_(input), kind_(kind), state_(input.bits(2)) {}

    double next() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        const std::uint64_t mixed = state_ ^ (static_cast<std::uint64_t>(input_.byte()) << 40);
        const auto low = static_cast<double>((mixed >> 33) % 7) - 3;
        switch (kind_) {
            case integers: return low;
            case halves: return static_cast<double>(static_cast<std::int64_t>(mixed >> 40 & 0x3ff) - 512) / 64;
            case decimals: return std::ldexp(static_cast<double>(mixed >> 11), -53) - 0.5;
            case extremes: {
                constexpr double special[] = {0.0,  -0.0,  1.0,     -1.0,    1e-310, 5e-324, 1e-45,   -1e-38,
                                              3e-5, 6e-8,  65504.0, 65520.0, 3e38,   -3e38,  1e150,   1e300,
                                              1e18, -4e18, 1e-20,   1e-160,  1e-300, -1e19,  0x1p127, 0x1p1023};
                return special[(mixed >> 35) % std::size(special)];
            }
            case any_bits: return std::bit_cast<double>(mixed * 0x9e3779b97f4a7c15u);
        }
        return 0;
    }

  private:
    Input& input_;
    Kind kind_;
    std::uint64_t state_;
};

inline double number_of(std::uint64_t bits, int exponent_bits, int fraction_bits) {
    const std::uint64_t fraction = bits & ((std::uint64_t{1} << fraction_bits) - 1);
    const auto exponent = static_cast<int>(bits >> fraction_bits & ((1u << exponent_bits) - 1));
    const bool negative = (bits >> (exponent_bits + fraction_bits) & 1u) != 0;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    double value = 0;
    if (exponent == (1 << exponent_bits) - 1)
        value = fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    else if (exponent == 0)
        value = std::ldexp(static_cast<double>(fraction), 1 - bias - fraction_bits);
    else
        value = std::ldexp(static_cast<double>(fraction | std::uint64_t{1} << fraction_bits),
                           exponent - bias - fraction_bits);
    return negative ? -value : value;
}

// One element, by the definition of its type.
inline double element(const char* at, DType dtype) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, at, size_of(dtype));
    switch (dtype) {
        case DType::f16: return number_of(bits, 5, 10);
        case DType::bf16: return number_of(bits, 8, 7);
        case DType::f32: return number_of(bits, 8, 23);
        case DType::f64: return std::bit_cast<double>(bits);
    }
    return 0;
}

// A number rounded once, to nearest, ties to even, to a type.
inline double rounded(double value, DType dtype) {
    if (dtype == DType::f64 || value == 0 || !std::isfinite(value)) return value;
    const int precision = dtype == DType::f16 ? 11 : dtype == DType::bf16 ? 8 : 24;
    const int lowest = dtype == DType::f16 ? -14 : -126, highest = dtype == DType::f16 ? 15 : 127;
    const int unit = std::max(std::ilogb(value), lowest) - precision + 1;
    const double result = std::ldexp(std::nearbyint(std::ldexp(value, -unit)), unit);
    return std::abs(result) < std::ldexp(1.0, highest + 1) ? result : std::copysign(HUGE_VAL, value);
}

inline void store(double value, DType dtype, char* at) {
    const double result = rounded(value, dtype);
    if (dtype == DType::f64) return static_cast<void>(std::memcpy(at, &result, sizeof result));
    const auto single = static_cast<float>(result);
    if (dtype == DType::f32) return static_cast<void>(std::memcpy(at, &single, sizeof single));
    const auto bits = std::bit_cast<std::uint32_t>(single);
    auto half = static_cast<std::uint16_t>(bits >> 16);
    if (dtype == DType::f16) {
        const double magnitude = std::abs(result);
        if (std::isnan(result))
            half = 0x7e00u;
        else if (magnitude >= 65536)
            half = 0x7c00u;
        else if (magnitude < 0x1p-14)
            half = static_cast<std::uint16_t>(magnitude * 0x1p24);
        else
            half = static_cast<std::uint16_t>(
                (std::bit_cast<std::uint32_t>(static_cast<float>(magnitude)) - 0x38000000u) >> 13);
        half |= static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
    }
    std::memcpy(at, &half, sizeof half);
}

// Rows in a block of memory that ends (or begins) where they do, so that AddressSanitizer sees every element beyond.
struct Rows {
    std::unique_ptr<char[]> memory;
    MatrixView view;

    double at(std::int64_t i, std::int64_t j) const { return element(view.row(i) + j * view.col_stride, view.dtype); }
};

inline DType any_dtype(Input& input) { return input.one_of({DType::f32, DType::f64, DType::f16, DType::bf16}); }

// strided: strides may be negative, zero, no multiple of the element, and elements apart.
inline Rows any_rows(Input& input, Numbers& numbers, std::int64_t n, std::int64_t d, DType dtype, bool strided = true,
                     bool finite = false) {
    const auto size = static_cast<std::int64_t>(size_of(dtype));
    const int layout = strided ? static_cast<int>(input.number(0, 7)) : 0;
    const std::int64_t shift = strided ? input.number(0, 7) : 0;
    std::int64_t row_stride = d * size, col_stride = size;
    if (layout == 1) row_stride += input.number(0, 40);  // rows apart, also by odd bytes
    if (layout == 2) row_stride = -row_stride;           // the last row first
    if (layout == 3) row_stride = 0;                     // one row, again and again
    if (layout == 4) col_stride = input.number(-3, 3) * size, row_stride = 3 * d * size;  // elements apart
    if (layout == 5) row_stride = size, col_stride = n * size;                            // Fortran order
    if (layout == 6) row_stride = input.number(-9, 9), col_stride = input.number(-9, 9);  // overlapping
    if (layout == 7) row_stride = size;                                                   // a window that slides
    std::int64_t low = 0, high = n > 0 && d > 0 ? size : 0;
    for (const auto& [count, stride] : {std::pair{n, row_stride}, std::pair{d, col_stride}}) {
        if (n == 0 || d == 0) break;
        (stride < 0 ? low : high) += (count - 1) * stride;
    }
    Rows rows;
    rows.memory = std::make_unique<char[]>(static_cast<std::size_t>(shift + high - low));
    rows.view = {rows.memory.get() + shift - low, dtype, n, d, row_stride, col_stride};
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j) {
            double value = numbers.next();
            if (finite && !std::isfinite(rounded(value, dtype))) value = 1;
            store(value, dtype, rows.memory.get() + shift - low + i * row_stride + j * col_stride);
        }
    // overlapping elements share bytes, which may make any number of them
    for (std::int64_t i = 0; finite && i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j)
            if (!std::isfinite(rows.at(i, j))) {
                std::memset(rows.memory.get(), 0, static_cast<std::size_t>(shift + high - low));
                return rows;
            }
    return rows;
}

inline Isa any_isa(Input& input) {
    const auto& isas = available_isas();
    return isas[input.number(0, static_cast<std::int64_t>(isas.size()) - 1)];
}

inline Numbers::Kind any_kind(Input& input) { return static_cast<Numbers::Kind>(input.number(0, 4)); }

}  // namespace repsim::fuzzing
