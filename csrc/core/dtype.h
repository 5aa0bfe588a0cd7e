// Element types the engine reads, and the one place where a runtime type becomes a compile-time one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/check.h"

namespace repsim {

enum class DType : int { f16, bf16, f32, f64 };

inline std::size_t size_of(DType dtype) {
    switch (dtype) {
        case DType::f16:
        case DType::bf16: return 2;
        case DType::f32: return 4;
        case DType::f64: return 8;
    }
    return 0;
}

inline DType dtype_from_name(const std::string& name) {
    if (name == "float16") return DType::f16;
    if (name == "bfloat16") return DType::bf16;
    if (name == "float32") return DType::f32;
    if (name == "float64") return DType::f64;
    REPSIM_CHECK(false, "rows must be float16, bfloat16, float32 or float64: got " << name);
    return DType::f64;
}

// Whether rows can be read where they are, as doubles.
inline __attribute__((always_inline)) bool holds_doubles(const char* rows, std::int64_t row_stride, DType dtype) {
    constexpr std::int64_t kSize = sizeof(double);
    return dtype == DType::f64 && reinterpret_cast<std::uintptr_t>(rows) % kSize == 0 && row_stride % kSize == 0;
}

}  // namespace repsim
