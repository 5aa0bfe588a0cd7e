// The matrix unit (AMX) multiplies tiles of 16 x 64 and 64 x 16 bytes (TDPBSSD).
//
// Registers 0 to 4 hold the classes. A product waits for the one before it in the same register, so successive products
// go to different ones; tiles are loaded as late as possible, because loads bind. Assembly, because GCC 12 may move
// stores to memory behind its intrinsics for loads of tiles.
#pragma once

#include "int24/layout.h"

namespace repsim {
namespace REPSIM_ISA {

class Unit {
  public:
    Unit() {
        struct alignas(64) {
            std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
            std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } config;
        __asm__ volatile("ldtilecfg %0" ::"m"(config));
    }
    ~Unit() { __asm__ volatile("tilerelease"); }  // or every switch of threads would save 8 KB
    Unit(const Unit&) = delete;
    Unit& operator=(const Unit&) = delete;

    void multiply(const Strip& left, const Strip& right, int n_steps, DigitSums& sums) {
        zero<0>(), zero<1>(), zero<2>(), zero<3>(), zero<4>();
        for (int step = 0; step < n_steps; ++step) {
            const auto &l = left.left[step], &r = right.right[step];
            load<7>(l[0]), load<5>(r[0]), dot<0, 7, 5>();
            load<6>(r[1]), dot<1, 7, 6>();
            load<5>(r[2]), dot<2, 7, 5>();
            load<7>(l[1]), dot<3, 7, 5>(), dot<2, 7, 6>();
            load<5>(r[0]), dot<1, 7, 5>();
            load<7>(l[2]), dot<2, 7, 5>(), dot<3, 7, 6>();
            load<5>(r[2]), dot<4, 7, 5>();
        }
        store<0>(sums), store<1>(sums), store<2>(sums), store<3>(sums), store<4>(sums);
    }

  private:
    using Digits = std::int8_t[kSide][kDepth];
    template <int T>
    static void zero() {
        __asm__ volatile("tilezero %%tmm%c0" ::"i"(T));
    }
    template <int T>
    static void load(const Digits& digits) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(digits), "r"(std::int64_t{kDepth}), "i"(T) : "memory");
    }
    template <int T>
    static void store(DigitSums& sums) {
        __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(sums.of[T]), "r"(std::int64_t{64}), "i"(T) : "memory");
    }
    template <int Sum, int Left, int Right>
    static void dot() {
        __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sum), "i"(Left), "i"(Right));
    }
};

}  // namespace REPSIM_ISA
}  // namespace repsim
